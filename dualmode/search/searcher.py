"""The search that a decoding YAML asks for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from dualmode.asr.model import AsrModel
from dualmode.data.tokens import Tokenizer
from dualmode.errors import UserError
from dualmode.search.arpa import SPECIAL, NgramModel, read_arpa
from dualmode.search.config import SearchConfig
from dualmode.search.ctc_search import CtcBeamSearch, CtcGreedy
from dualmode.search.fusion import WordFusion
from dualmode.search.hotwords import Hotwords
from dualmode.search.rnnt_search import RnntBeamSearch, RnntGreedy
from dualmode.search.scorer import Scorer, Sum
from dualmode.search.search import Search
from dualmode.search.together import accept_together


@dataclass(frozen=True)
class Searcher:
    """Makes the search of an utterance, and what it hears.

    CTC's searches run on the CPU: posteriors leave the encoder's device once a batch, not once a frame.  Those of an
    RNN-T run where its predictor and joiner are.

    Args:
        inputs: maps encoder frames (..., d) to the search's inputs (..., n).
        start: returns the search of a new utterance.
        accept: has each of some searches hear its inputs (frames, n); an RNN-T's share the calls of its networks.
    """

    inputs: Callable[[Tensor], Tensor]
    start: Callable[[], Search]
    accept: Callable[[Sequence[Any], Sequence[Tensor]], None]


def make_searcher(model: AsrModel, tokenizer: Tokenizer, config: SearchConfig) -> Searcher:
    """Return what ``config`` asks for; the language model is read once, here.

    Raises:
        UserError: the language model cannot be read, or a hotword has characters without a token.
    """
    if config.beam_size == 1:
        return greedy_searcher(model)
    scorer, beam_size = make_scorer(tokenizer, config), config.beam_size
    if model.kind == "rnnt":
        return rnnt_searcher(model, lambda: RnntBeamSearch(model.predictor, model.joiner, beam_size, scorer))
    return Searcher(partial(posteriors, model), lambda: CtcBeamSearch(beam_size, scorer), one_by_one)


def greedy_searcher(model: AsrModel) -> Searcher:
    """Return the greedy search of ``model``."""
    if model.kind == "rnnt":
        return rnnt_searcher(model, lambda: RnntGreedy(model.predictor, model.joiner))
    return Searcher(partial(posteriors, model), CtcGreedy, one_by_one)


def rnnt_searcher(model: AsrModel, start: Callable[[], Search]) -> Searcher:
    return Searcher(as_it_is, start, partial(accept_together, model.predictor, model.joiner))


def one_by_one(searches: Sequence[Search], inputs: Sequence[Tensor]) -> None:
    for search, frames in zip(searches, inputs, strict=True):
        search.accept(frames)


def posteriors(model: AsrModel, encoded: Tensor) -> Tensor:
    """Return what a CTC search hears: log posteriors (..., vocabulary), on the CPU."""
    return model.posteriors(encoded).cpu()


def as_it_is(encoded: Tensor) -> Tensor:
    """Return what an RNN-T's search hears: the encoder frames."""
    return encoded


def make_scorer(tokenizer: Tokenizer, config: SearchConfig) -> Sum:
    """Return what language model and hotwords add; see :func:`make_searcher`."""
    scorers: list[Scorer] = []
    if config.lm:
        words = read_arpa(Path(config.lm))
        check_words(words, tokenizer, config.lm)
        scorers.append(WordFusion(words, tokenizer.tokens, tokenizer.kind, config.lm_weight))
    for phrase in config.hotwords:
        if missing := tokenizer.unseen(phrase):
            raise UserError(f"the hotword {phrase!r} has what the token list does not cover: {missing[0]!r}")
    if config.hotwords:
        scorers.append(Hotwords([tokenizer.encode(phrase) for phrase in config.hotwords], config.hotword_boost))
    return Sum(scorers)


def check_words(model: NgramModel, tokenizer: Tokenizer, path: str) -> None:
    """Raise UserError where no word of a language model can ever be put out: its beam would prefer to say nothing."""
    listed = [ngram[0] for ngram in model.probabilities if len(ngram) == 1 and ngram[0] not in SPECIAL]
    if all(tokenizer.unseen(word) for word in listed):
        example = f", such as {listed[0]!r}" if listed else ""
        raise UserError(
            f"{path} has no word that the model's token list can write{example}: make it of words written as in the "
            "training's transcripts (case, script)"
        )
