"""Language model and hotwords, with numbers worked out by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dualmode.errors import UserError
from dualmode.search.arpa import read_arpa
from dualmode.search.ctc_search import CtcBeamSearch
from dualmode.search.fusion import WordFusion
from dualmode.search.hotwords import Hotwords
from dualmode.search.scorer import Sum

ARPA = r"""\data\
ngram 1=5
ngram 2=2

\1-grams:
-1.0 <unk>
-99 <s> -0.5
-0.7 </s>
-0.4 a -0.3
-0.9 b

\2-grams:
-0.2 <s> a
-0.1 a b

\end\
"""
TOKENS = ["<blank>", "<unk>", "<space>", "a", "b", "c"]


@pytest.fixture
def model(tmp_path):
    (tmp_path / "lm.arpa").write_text(ARPA)
    return read_arpa(tmp_path / "lm.arpa")


@pytest.mark.parametrize(
    ("history", "word", "log10"),
    [(("<s>",), "a", -0.2), (("a",), "b", -0.1), (("a",), "</s>", -1.0), (("<s>",), "b", -1.4), (("b",), "zz", -1.0)],
)
def test_backoff_by_hand(model, history, word, log10):
    assert model.score(history, word)[0] == pytest.approx(log10 * math.log(10))


def test_an_unknown_word_in_upper_case_is_the_unknown_word(tmp_path):
    (tmp_path / "lm.arpa").write_text(ARPA.replace("<unk>", "<UNK>"))
    assert read_arpa(tmp_path / "lm.arpa").score(("b",), "zz")[0] == pytest.approx(-1.0 * math.log(10))


def test_words_are_scored_at_their_boundaries(model):
    fusion = WordFusion(model, TOKENS, "char", 2.0)
    state, added = fusion.start(), []
    for token in (3, 2, 4):  # a <space> b
        score, state = fusion.step(state, token)
        added.append(score)
    assert added == pytest.approx([0.0, 2 * -0.2 * math.log(10), 0.0])
    assert fusion.finish(state) == pytest.approx(2 * (-0.1 - 0.7) * math.log(10))


def test_a_file_cut_off_is_one_sentence(tmp_path):
    (tmp_path / "lm.arpa").write_text(ARPA.replace("\\end\\", ""))
    with pytest.raises(UserError, match="complete ARPA"):
        read_arpa(tmp_path / "lm.arpa")


@pytest.mark.parametrize(
    ("lost", "says"),
    [
        ("-0.9 b\n", "states 5 1-grams, and has 4: it is not whole"),
        ("-0.1 a b\n", "states 2 2-grams, and has 1: it is not whole"),
        ("\\2-grams:\n-0.2 <s> a\n-0.1 a b\n", "states 2 2-grams, and has 0: it is not whole"),
        ("ngram 2=2\n", "states 0 2-grams, and has 2: it is not whole"),
    ],
)
def test_an_incomplete_model_is_told_by_what_it_states(tmp_path, lost, says):
    assert lost in ARPA
    (tmp_path / "lm.arpa").write_text(ARPA.replace(lost, ""))
    with pytest.raises(UserError, match=says):
        read_arpa(tmp_path / "lm.arpa")


def test_a_blank_for_some_programs_only_is_no_part_of_a_word(tmp_path):
    (tmp_path / "lm.arpa").write_text(ARPA.replace("-0.9 b", "-0.9 b\u00a0c"), encoding="utf-8")
    with pytest.raises(UserError, match="lm.arpa, line 10: .*NO-BREAK SPACE"):
        read_arpa(tmp_path / "lm.arpa")


def total(hotwords, tokens):
    state, score = hotwords.start(), 0.0
    for token in tokens:
        added, state = hotwords.step(state, token)
        score += added
    return score + hotwords.finish(state)


@pytest.mark.parametrize(
    ("tokens", "boosted"), [((5, 3), 2), ((5, 4), 0), ((5,), 0), ((5, 5, 3), 2), ((3, 4), 0), ((5, 3, 5, 3), 4)]
)
def test_only_whole_phrases_are_boosted(tokens, boosted):
    assert total(Hotwords([(5, 3)], 1.5), tokens) == pytest.approx(1.5 * boosted)


@given(
    st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=4), max_size=4), st.lists(st.integers(1, 3), max_size=12)
)
def test_boosted_is_every_token_that_is_part_of_a_phrase(phrases, tokens):
    covered = {
        start + index
        for phrase in phrases
        for start in range(len(tokens))
        if tokens[start : start + len(phrase)] == phrase
        for index in range(len(phrase))
    }
    assert total(Hotwords(phrases, 1.5), tokens) == pytest.approx(1.5 * len(covered))


def test_a_hotword_wins_over_a_slightly_better_token():
    x = torch.tensor([[0.1, 0.01, 0.01, 0.01, 0.47, 0.4]]).log()
    assert CtcBeamSearch(4).best()[0].tokens == ()
    for scorer, expected in ((None, (4,)), (Sum([Hotwords([(5,)], 1.0)]), (5,))):
        search = CtcBeamSearch(4, scorer)
        search.accept(x)
        assert search.best(1, final=True)[0].tokens == expected
