"""An entry of an n-best list, and arithmetic that the searches share."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

NEVER = -math.inf  # the logarithm of a probability of 0


@dataclass(frozen=True)
class Hypothesis:
    """One entry of an n-best list.

    Attributes:
        tokens: without blanks.
        frames: encoder frame of 40 ms in which the best alignment of these tokens enters each of them.
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


def log_add(a: float, b: float) -> float:
    """Return log(exp(a) + exp(b)).

    >>> round(log_add(math.log(0.2), math.log(0.3)), 6) == round(math.log(0.5), 6)
    True
    """
    larger, smaller = (a, b) if a > b else (b, a)
    return larger if smaller == NEVER else larger + math.log1p(math.exp(smaller - larger))
