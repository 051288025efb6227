"""The search settings of a decoding YAML."""

import pytest

from dualmode.data.tokens import Tokenizer
from dualmode.errors import UserError
from dualmode.search.ctc_search import CtcBeamSearch, CtcGreedy
from dualmode.search.rnnt_search import RnntBeamSearch, RnntGreedy
from dualmode.search.searcher import SearchConfig, make_scorer, make_searcher


def test_a_beam_of_one_is_the_greedy_search(model, tokenizer):
    greedy, beam = (CtcGreedy, CtcBeamSearch) if model.kind == "ctc" else (RnntGreedy, RnntBeamSearch)
    assert type(make_searcher(model, tokenizer, SearchConfig()).start()) is greedy
    assert type(make_searcher(model, tokenizer, SearchConfig(beam_size=2)).start()) is beam


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"beam_size": 0}, "beam_size is 0: it must be a whole number of at least 1"),
        ({"beam_size": True}, "beam_size is True"),
        ({"nbest": 2}, "must not exceed beam_size"),
        ({"lm": "x.arpa"}, "need a larger one"),
        ({"beam_size": 4, "lm": 3}, "path of an ARPA file"),
        ({"beam_size": 4, "lm_weight": "0.3"}, "lm_weight is '0.3': it must be a number of at least 0"),
        ({"hotword_boost": float("nan")}, "hotword_boost is nan"),
        ({"hotword_boost": -1}, "hotword_boost is -1"),
        ({"beam_size": 4, "hotwords": "go"}, "must be a list of phrases"),
        ({"beam_size": 4, "hotwords": [" "]}, "must be a list of phrases"),
        ({"beam_size": 4, "hotwords": None}, "must be a list of phrases"),
    ],
)
def test_impossible_settings_are_one_sentence(settings, words):
    with pytest.raises(UserError, match=words):
        SearchConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"lm": "gone.arpa"}, "gone.arpa cannot be read"), ({"hotwords": ["abz"]}, "'abz' has what the token list")],
)
def test_what_does_not_fit_the_model_is_one_sentence(model, tokenizer, settings, words):
    with pytest.raises(UserError, match=words):
        make_searcher(model, tokenizer, SearchConfig(beam_size=2, **settings))


@pytest.mark.parametrize(("kind", "fits"), [("char", "bad"), ("char", "bad ABZ"), ("char", "BAD"), ("word", "ABZ")])
def test_a_language_model_of_which_no_word_can_be_written_is_refused(tmp_path, kind, fits):
    tokenizer = Tokenizer(kind, ["<blank>", "<unk>", *(["<space>", *"abcd"] if kind == "char" else ["bad"])])
    listed = "\n".join(f"-0.5 {word}" for word in ("<s>", "</s>", "<unk>", *fits.split()))
    (tmp_path / "lm.arpa").write_text(f"\\data\\\nngram 1={3 + len(fits.split())}\n\n\\1-grams:\n{listed}\n\n\\end\\\n")
    config = SearchConfig(beam_size=2, lm=str(tmp_path / "lm.arpa"))
    if "bad" in fits:
        make_scorer(tokenizer, config)
    else:
        with pytest.raises(UserError, match=f"no word that the model's token list can write, such as '{fits}'"):
            make_scorer(tokenizer, config)
