"""Hotword boosting: each token that continues a phrase is rewarded, and the reward is taken back if it fails."""

from collections.abc import Sequence


class Hotwords:
    """A trie over tokens; a state is the matched prefix (tokens) of a phrase::

        phrase c a t      c +b   a +b   t +b  -> kept, match over
                          c +b   a +b   r -2b -> taken back

    A failed match restarts at the longest end of what was heard that begins a phrase (Aho and Corasick 1975).

    Args:
        phrases: tokens of each.
        boost: added per matched token, natural logarithm.
    """

    def __init__(self, phrases: Sequence[Sequence[int]], boost: float):
        self.boost = boost
        self._phrases = {tuple(phrase) for phrase in phrases if phrase}
        self._prefixes = {phrase[:end] for phrase in self._phrases for end in range(len(phrase) + 1)} | {()}

    def start(self) -> tuple[tuple[int, ...], int]:
        """Return the matched tokens, and how many of them are rewarded for good, as a phrase ends there."""
        return (), 0

    def step(self, state: tuple[tuple[int, ...], int], token: int) -> tuple[float, tuple[tuple[int, ...], int]]:
        matched, kept = state
        heard = (*matched, token)
        dropped = 0
        while heard not in self._prefixes:
            heard, dropped = heard[1:], dropped + 1
        lost = max(len(matched) - kept, 0) if dropped else 0
        gained = len(heard) if dropped else 1
        kept = max(kept - dropped, 0) if dropped else kept
        gained -= min(kept, gained) if dropped else 0
        kept = len(heard) if heard in self._phrases else kept
        return self.boost * (gained - lost), (heard, kept)

    def finish(self, state: tuple[tuple[int, ...], int]) -> float:
        matched, kept = state
        return -self.boost * (len(matched) - kept)
