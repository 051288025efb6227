"""Hotword boosting: each token that continues a phrase is rewarded, and the reward is taken back if it fails."""

from collections.abc import Sequence

State = tuple[tuple[int, ...], tuple[bool, ...]]


class Hotwords:
    """Rewards every token that is part of a phrase, as soon as it may be part of one::

        phrase c a t      c +b   a +b   t +b   -> kept
                          c +b   a +b   r -2b  -> taken back

    A failed match goes on with the longest end of what was heard that begins a phrase (Aho and Corasick 1975).  A token
    counts once, however many phrases it is part of.  Phrases of characters match inside words, too.

    Args:
        phrases: tokens of each.
        boost: added per token, natural logarithm.
    """

    def __init__(self, phrases: Sequence[Sequence[int]], boost: float):
        self.boost = boost
        self._phrases = {tuple(phrase) for phrase in phrases if phrase}
        self._prefixes = {phrase[:end] for phrase in self._phrases for end in range(1, len(phrase) + 1)} | {()}

    def start(self) -> State:
        """Return the tokens that begin a phrase, and which of them are rewarded for good."""
        return (), ()

    def step(self, state: State, token: int) -> tuple[float, State]:
        matched, kept = (*state[0], token), (*state[1], False)
        size = len(matched)
        longest = next((size - start for start in range(size) if matched[start:] in self._phrases), 0)
        kept = kept[: size - longest] + (True,) * longest
        first = next(start for start in range(size + 1) if matched[start:] in self._prefixes)
        return self.boost * (1 - kept[:first].count(False)), (matched[first:], kept[first:])

    def finish(self, state: State) -> float:
        return -self.boost * state[1].count(False)
