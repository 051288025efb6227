"""Shallow fusion: an n-gram of words scores each word once it is complete."""

from dualmode.data.tokens import SPACE, WORD_START
from dualmode.search.arpa import END, NgramModel


class WordFusion:
    """Adds ``weight`` times the log probability of each word at its boundary.

    Args:
        model: of words.
        tokens: the vocabulary.
        kind: "char", "word" or "bpe"; see :mod:`dualmode.data.tokens`.
        weight: of the model.
    """

    def __init__(self, model: NgramModel, tokens: list[str], kind: str, weight: float):
        self.model, self.tokens, self.kind, self.weight = model, tokens, kind, weight

    def start(self) -> tuple[tuple[str, ...], str]:
        """Return the history of words and the unfinished word."""
        return self.model.start(), ""

    def step(self, state: tuple[tuple[str, ...], str], token: int) -> tuple[float, tuple[tuple[str, ...], str]]:
        history, word = state
        text = self.tokens[token]
        if self.kind == "word":
            added, history = self.model.score(history, text)
            return self.weight * added, (history, "")
        mark = SPACE if self.kind == "char" else WORD_START
        if not text.startswith(mark):
            return 0.0, (history, word + text)
        added, history = self._word(history, word)
        return added, (history, text.removeprefix(mark))

    def finish(self, state: tuple[tuple[str, ...], str]) -> float:
        added, history = self._word(*state)
        return added + self.weight * self.model.score(history, END)[0]

    def _word(self, history: tuple[str, ...], word: str) -> tuple[float, tuple[str, ...]]:
        if not word:
            return 0.0, history
        added, history = self.model.score(history, word)
        return self.weight * added, history
