"""The search that a decoding YAML asks for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dualmode.asr.model import Recogniser
from dualmode.data.tokens import Tokenizer
from dualmode.decoding.arpa import read_arpa
from dualmode.decoding.ctc_search import CtcBeamSearch, CtcGreedy, CtcPosteriors
from dualmode.decoding.fusion import WordFusion
from dualmode.decoding.hotwords import Hotwords
from dualmode.decoding.rnnt_search import RnntBeamSearch
from dualmode.decoding.scorer import Sum
from dualmode.errors import UserError

Search = CtcPosteriors | RnntBeamSearch


@dataclass(frozen=True)
class SearchConfig:
    """How to search.

    Args:
        method: "greedy" or "beam".
        beam_size: hypotheses kept, for method beam; one without language model and hotwords is greedy.
        nbest: hypotheses put out.
        lm, lm_weight: ARPA file of an n-gram of words, and its weight.
        hotwords, hotword_boost: phrases, and what each matched token adds to the score (natural logarithm).

    Raises:
        UserError: a value is impossible, or has no effect with the method.
    """

    method: str = "greedy"
    beam_size: int = 8
    nbest: int = 1
    lm: str | None = None
    lm_weight: float = 0.3
    hotwords: Sequence[str] = ()
    hotword_boost: float = 1.5

    def __post_init__(self):
        if self.method not in ("greedy", "beam"):
            raise UserError(f"method is {self.method!r}: it must be greedy or beam")
        for key in ("beam_size", "nbest"):
            value = getattr(self, key)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise UserError(f"{key} is {value!r}: it must be a whole number of at least 1")
        if isinstance(self.hotwords, str) or not all(isinstance(phrase, str) for phrase in self.hotwords):
            raise UserError(f"hotwords is {self.hotwords!r}: it must be a list of phrases")
        if self.method == "greedy" and (self.lm or self.hotwords or self.nbest > 1):
            raise UserError("method is greedy: lm, hotwords and nbest above 1 need method beam")
        if self.nbest > self.beam_size:
            raise UserError(f"nbest is {self.nbest}: it must not exceed beam_size, which is {self.beam_size}")


def search_factory(model: Recogniser, tokenizer: Tokenizer, config: SearchConfig) -> Callable[[], Search]:
    """Return a function that makes the search of one utterance; the language model is read once, here.

    Raises:
        UserError: the language model cannot be read, or a hotword has characters without a token.
    """
    scorers = []
    if config.lm:
        scorers.append(WordFusion(read_arpa(Path(config.lm)), tokenizer.tokens, tokenizer.kind, config.lm_weight))
    if config.hotwords:
        for phrase in config.hotwords:
            if missing := tokenizer.unseen(phrase):
                raise UserError(f"the hotword {phrase!r} has what the token list does not cover: {missing[0]!r}")
        scorers.append(Hotwords([tokenizer.encode(phrase) for phrase in config.hotwords], config.hotword_boost))
    scorer = Sum(scorers)
    beam_size = 1 if config.method == "greedy" else config.beam_size
    if model.kind == "rnnt":
        return lambda: RnntBeamSearch(model.predictor, model.joiner, beam_size, scorer)
    if beam_size == 1 and not scorers:
        return lambda: CtcPosteriors(model, CtcGreedy())
    return lambda: CtcPosteriors(model, CtcBeamSearch(beam_size, scorer))
