"""What is added to a hypothesis's score for its tokens alone: language models and hotwords."""

from collections.abc import Hashable, Sequence
from typing import Any, Protocol


class Scorer(Protocol):
    """A function of the token sequence, computed token by token; states are immutable."""

    def start(self) -> Hashable:
        """Return the state before the first token."""

    def step(self, state: Any, token: int) -> tuple[float, Any]:
        """Return what ``token`` adds, and the new state."""

    def finish(self, state: Any) -> float:
        """Return what the end of the utterance adds."""


class Sum:
    """Several scorers as one; of none, nothing is ever added."""

    def __init__(self, scorers: Sequence[Scorer] = ()):
        self.scorers = tuple(scorers)

    def start(self) -> tuple:
        return tuple(scorer.start() for scorer in self.scorers)

    def step(self, state: tuple, token: int) -> tuple[float, tuple]:
        if not self.scorers:  # as in most searches, which ask for every candidate of every frame
            return 0.0, state
        steps = [scorer.step(part, token) for scorer, part in zip(self.scorers, state, strict=True)]
        return sum(added for added, _ in steps), tuple(part for _, part in steps)

    def finish(self, state: tuple) -> float:
        return sum(scorer.finish(part) for scorer, part in zip(self.scorers, state, strict=True))
