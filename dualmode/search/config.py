"""How to search, checked; without torch, so that a command knows its mistakes before it loads a model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dualmode.errors import UserError
from dualmode.lines import words


@dataclass(frozen=True)
class SearchConfig:
    """How to search.

    Args:
        beam_size: hypotheses kept; 1 is the greedy search, which for CTC is the best path.
        nbest: hypotheses put out.
        lm, lm_weight: ARPA file of an n-gram of words, and its weight.
        hotwords, hotword_boost: phrases, and what each of their tokens adds to the score (natural logarithm).

    Raises:
        UserError: a value is impossible, or has no effect with this beam.
    """

    beam_size: int = 1
    nbest: int = 1
    lm: str | None = None
    lm_weight: float = 0.3
    hotwords: Sequence[str] = ()
    hotword_boost: float = 1.5

    def __post_init__(self):
        for key in ("beam_size", "nbest"):
            value = getattr(self, key)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise UserError(f"{key} is {value!r}: it must be a whole number of at least 1")
        for key in ("lm_weight", "hotword_boost"):
            value = getattr(self, key)
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < math.inf:
                raise UserError(f"{key} is {value!r}: it must be a number of at least 0")
        if self.lm is not None and not isinstance(self.lm, str):
            raise UserError(f"lm is {self.lm!r}: it must be the path of an ARPA file")
        phrases = self.hotwords
        if not isinstance(phrases, (list, tuple)) or not all(isinstance(p, str) and words(p) for p in phrases):
            raise UserError(f"hotwords is {phrases!r}: it must be a list of phrases")
        if self.nbest > self.beam_size:
            raise UserError(f"nbest is {self.nbest}: it must not exceed beam_size, which is {self.beam_size}")
        if self.beam_size == 1 and (self.lm or self.hotwords):
            raise UserError("beam_size is 1, the greedy search: lm and hotwords need a larger one, such as 8")
