"""From tokens to words with their times."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dualmode.data.tokens import SPACE, WORD_START, Tokenizer
from dualmode.frames import FRAME_MS
from dualmode_runtime.words import Word

if TYPE_CHECKING:  # torch, which what is done with words does not need
    from dualmode.search.confidence import Evidence


def word_spans(tokens: Sequence[str], kind: str) -> list[tuple[int, int]]:
    """Return the (first, last + 1) tokens of each word.

    Args:
        tokens: as text.
        kind: "char", "word" or "bpe"; see :mod:`dualmode.data.tokens`.

    >>> word_spans(["g", "o", "<space>", "o", "n"], "char"), word_spans(["▁go", "▁o", "n"], "bpe")
    ([(0, 2), (3, 5)], [(0, 1), (1, 3)])
    """
    if kind == "word":
        return [(index, index + 1) for index in range(len(tokens))]
    starts = [0] + [index for index, token in enumerate(tokens) if token.startswith(_mark(kind))]
    spans = []
    for first, last in zip(starts, [*starts[1:], len(tokens)], strict=True):
        first += kind == "char" and first < last and tokens[first] == SPACE
        if any(token != _mark(kind) for token in tokens[first:last]):
            spans.append((first, last))
    return spans


def _mark(kind: str) -> str:
    return SPACE if kind == "char" else WORD_START


def closed_tokens(tokens: Sequence[str], kind: str) -> int:
    """Return how many of the first ``tokens`` make up words to which nothing can be added.

    >>> closed_tokens(["g", "o", "<space>", "o"], "char"), closed_tokens(["▁go", "▁o"], "bpe")
    (2, 1)
    """
    if kind == "word":
        return len(tokens)
    return max((index for index, token in enumerate(tokens) if token.startswith(_mark(kind))), default=0)


class StableWords:
    """Collects the words of one utterance while it is searched; what cannot change any more is kept as words.

    Args:
        tokenizer: of the vocabulary.
        start_ms: where in the audio the utterance begins.
        evidence: of the search, for the words' confidence.

    Attributes:
        words: the stable ones.
    """

    def __init__(self, tokenizer: Tokenizer, start_ms: float = 0.0, evidence: "Evidence | None" = None):
        self.tokenizer, self.start_ms, self.evidence = tokenizer, start_ms, evidence
        self.words: list[Word] = []
        self._tokens: list[int] = []  # settled, but of a word that may grow, or whose token may go on
        self._frames: list[int] = []
        self._heard_ms: list[float] = []  # when each was settled

    def settle(self, tokens: Sequence[int], frames: Sequence[int], heard_ms: float) -> None:
        """Add tokens that cannot change any more, and the encoder frame of each."""
        self._tokens += tokens
        self._frames += frames
        self._heard_ms += [heard_ms] * len(tokens)
        count = closed_tokens([self.tokenizer.tokens[token] for token in self._tokens], self.tokenizer.kind)
        # A word of one token is what it is at once; how sure it is, only the end of its run says.
        if self._frames and count == len(self._frames) and self.evidence and self.evidence.runs_on(self._frames[-1]):
            count -= 1
        self.words += self._words(self._tokens[:count], self._frames[:count], self._since(heard_ms))
        del self._tokens[:count], self._frames[:count], self._heard_ms[:count]

    @property
    def open_frame(self) -> int | None:
        """The first frame of a settled token whose word, or confidence, is open; None without one."""
        return self._frames[0] if self._frames else None

    def all_words(self, tokens: Sequence[int], frames: Sequence[int], stable_ms: float | None = None) -> list[Word]:
        """Return the stable words and those of a hypothesis's open tokens; these are stable since ``stable_ms``."""
        since = [*self._since(stable_ms), *[stable_ms] * len(tokens)]
        return self.words + self._words([*self._tokens, *tokens], [*self._frames, *frames], since)

    def _since(self, closed_ms: float | None) -> Sequence[float | None]:
        """Return since when a word that ends with each settled token is stable, if it was closed at ``closed_ms``."""
        return self._heard_ms if self.tokenizer.kind == "word" else [closed_ms] * len(self._tokens)

    def _words(self, tokens: Sequence[int], frames: Sequence[int], since: Sequence[float | None]) -> list[Word]:
        spans = word_spans([self.tokenizer.tokens[token] for token in tokens], self.tokenizer.kind)
        return [self._word(tokens[a:b], frames[a], frames[b - 1], since[b - 1]) for a, b in spans]

    def _word(self, tokens: Sequence[int], first: int, last: int, stable_ms: float | None) -> Word:
        start_ms, end_ms = (self.start_ms + FRAME_MS * frame for frame in (first, last + 1))
        sure = None if self.evidence is None else self.evidence.confidence(first, last)
        return Word(self.tokenizer.decode(tokens), start_ms, stable_ms, end_ms, sure)
