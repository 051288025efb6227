"""What a search puts out, and what it still carries along."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Hypothesis:
    """One entry of an n-best list.

    Attributes:
        tokens: without blanks.
        frames: encoder frame of 40 ms in which each token first appeared.
        score: natural logarithm, with what language model and hotwords add.
    """

    tokens: tuple[int, ...]
    frames: tuple[int, ...]
    score: float


def common_prefix(sequences: Sequence[tuple[int, ...]]) -> int:
    """Return how many leading tokens all sequences share.

    >>> common_prefix([(1, 2, 3), (1, 2), (1, 2, 4)])
    2
    """
    shortest = min(sequences, key=len)
    for index, token in enumerate(shortest):
        if any(sequence[index] != token for sequence in sequences):
            return index
    return len(shortest)
