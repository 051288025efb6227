"""Is an utterance long enough for its transcript?"""

from collections.abc import Sequence


def frames_needed(tokens: Sequence[int]) -> int:
    """The fewest encoder frames with which CTC can spell ``tokens``: a blank must part two equal neighbours.

    >>> frames_needed([5, 5, 6])
    4
    """
    return len(tokens) + sum(left == right for left, right in zip(tokens, tokens[1:], strict=False))


def is_hurried(tokens: Sequence[int], frames: int) -> bool:
    """Whether there are fewer than two of ``frames`` (encoder frames of 40 ms) a token: CTC learns little from that.

    >>> is_hurried([5, 6, 7], 6), is_hurried([5, 6, 7], 5), is_hurried([], 0)
    (False, True, False)
    """
    return frames < 2 * len(tokens)
