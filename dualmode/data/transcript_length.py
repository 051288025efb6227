"""Is an utterance long enough for its transcript?"""

from collections.abc import Sequence


def frames_needed(tokens: Sequence[int]) -> int:
    """The fewest encoder frames with which CTC can spell ``tokens``: a blank must part two equal neighbours.

    >>> frames_needed([5, 5, 6])
    4
    """
    return len(tokens) + sum(left == right for left, right in zip(tokens, tokens[1:], strict=False))
