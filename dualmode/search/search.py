"""What all searches share: they hear one utterance piece by piece, and know at any time which tokens are settled.

    tokens      t h e _ c a t _ s | a        |: every hypothesis begins with what is left of it
                      settled     | open

Settling happens after each frame, so the pieces in which an utterance comes change nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from torch import Tensor

from dualmode.search.confidence import Evidence
from dualmode.search.hypothesis import Hypothesis, common_prefix
from dualmode.search.scorer import Sum

MAX_OPEN = 100  # open tokens, beyond which the best hypothesis decides about the first one: memory stays bounded


class Search(ABC):
    """The search of one utterance.

    Attributes:
        frame: encoder frames of 40 ms heard so far.
        settled, settled_frames: tokens that cannot change any more, and the frame of each.
        evidence: what the model says in each frame.
        has_runs: whether the same token in the next frame is the same one (CTC), or one more (RNN-T).
    """

    has_runs = True

    def __init__(self) -> None:
        self.frame = 0
        self.settled: list[int] = []
        self.settled_frames: list[int] = []
        self.evidence = Evidence(self.has_runs)

    @property
    @abstractmethod
    def open_frame(self) -> int:
        """The first frame in which an open token may have appeared."""

    @abstractmethod
    def accept(self, inputs: Tensor) -> None:
        """Hear more frames (frames, n), of any number; see :class:`dualmode.search.searcher.Searcher`."""

    @abstractmethod
    def best(self, count: int | None = 1, final: bool = False) -> list[Hypothesis]:
        """Return the n-best list, best first, whole if ``count`` is None.

        ``final`` adds what the scorer adds at the end of the utterance.
        """

    def take(self) -> tuple[list[int], list[int]]:
        """Return the settled tokens and their frames and forget them: later hypotheses begin after them.

        So an endless stream needs no endless memory.
        """
        taken = self.settled, self.settled_frames
        self.settled, self.settled_frames = [], []
        return taken


class GreedySearch(Search):
    """A search with one hypothesis, in which every token is settled at once.

    Attributes:
        score: logarithm of the probability of the one alignment that it follows.
    """

    def __init__(self):
        super().__init__()
        self.score = 0.0

    @property
    def open_frame(self) -> int:
        return self.frame

    def best(self, count: int | None = 1, final: bool = False) -> list[Hypothesis]:
        return [Hypothesis(tuple(self.settled), tuple(self.settled_frames), self.score)]


class Entry(Protocol):
    """A hypothesis in a beam: a frozen dataclass with at least this.

    Attributes:
        tokens, frames: see :class:`Hypothesis`; the open ones.
        first_frame: the earliest in which any alignment that is still followed enters the first open token; None
            without one.
        score: as of the open and the settled ones together.
        state: of the scorer.
    """

    @property
    def tokens(self) -> tuple[int, ...]: ...

    @property
    def frames(self) -> tuple[int, ...]: ...

    @property
    def first_frame(self) -> int | None: ...

    @property
    def state(self) -> Hashable: ...

    @property
    def score(self) -> float: ...

    def without(self, count: int, frame: int) -> "Entry":
        """Return it without its first ``count`` tokens, the last of which is settled as one of ``frame``."""


E = TypeVar("E", bound=Entry)


def after(frames: Sequence[int], count: int, frame: int) -> tuple[int, ...]:
    """Return ``frames`` without the first ``count``, none before ``frame``, which another alignment has said.

    >>> after((3, 5, 6, 9), 2, 7)
    (7, 9)
    """
    return tuple(max(one, frame) for one in frames[count:])


class BeamSearch(Search):
    """A search with several hypotheses.

    Args:
        beam_size: hypotheses kept after each frame.
        scorer: language model and hotwords.
        first: the hypothesis without tokens.
    """

    def __init__(self, beam_size: int, scorer: Sum, first: Entry):
        super().__init__()
        self.beam_size, self.scorer = beam_size, scorer
        self._beam: list[Any] = [first]

    @property
    def open_frame(self) -> int:
        firsts = (entry.first_frame for entry in self._beam)
        return min((frame for frame in firsts if frame is not None), default=self.frame)

    def best(self, count: int | None = 1, final: bool = False) -> list[Hypothesis]:
        scored = [(e.score + (self.scorer.finish(e.state) if final else 0.0), e.tokens, e.frames) for e in self._beam]
        scored.sort(key=lambda entry: (-entry[0], entry[1]))
        tokens, frames = tuple(self.settled), tuple(self.settled_frames)
        return [Hypothesis(tokens + t, frames + f, score) for score, t, f in scored[:count]]

    def _settle(self) -> None:
        """Move the tokens that the whole beam begins with to the settled ones."""
        while True:
            if count := common_prefix([entry.tokens for entry in self._beam]):
                frames = self._beam[0].frames[:count]
                self.settled += self._beam[0].tokens[:count]
                self.settled_frames += frames
                self._beam = [entry.without(count, frames[-1]) for entry in self._beam]
            if max(len(entry.tokens) for entry in self._beam) <= MAX_OPEN:
                return
            first = self._beam[0].tokens[:1]
            self._beam = [entry for entry in self._beam if entry.tokens[:1] == first]


def best_first(entries: Iterable[E]) -> Sequence[E]:
    """Return the entries by score; equal scores by tokens, so that results are reproducible."""
    return sorted(entries, key=lambda entry: (-entry.score, entry.tokens))
