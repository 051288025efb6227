"""Is an utterance long enough for its transcript?"""

from collections.abc import Sequence


def encoder_frames(frames: int) -> int:
    """Frames after subsampling by 4 without padding: output t sees feature frames 4 t to 4 t + 6.

    >>> [encoder_frames(frames) for frames in (6, 7, 10, 11)]
    [0, 1, 1, 2]
    """
    return (frames - 7) // 4 + 1 if frames >= 7 else 0


def frames_needed(tokens: Sequence[int]) -> int:
    """The fewest encoder frames with which CTC can spell ``tokens``: a blank must part two equal neighbours.

    >>> frames_needed([5, 5, 6])
    4
    """
    return len(tokens) + sum(left == right for left, right in zip(tokens, tokens[1:], strict=False))
