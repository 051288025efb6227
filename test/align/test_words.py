import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualmode.align.words import TimedWord, timed_words, word_spans


@pytest.mark.parametrize(
    "kind, tokens, spans",
    [
        ("char", [], []),
        ("char", ["<space>"], []),
        ("char", ["<space>", "a", "<space>", "<space>", "b", "c", "<space>"], [(1, 2), (4, 6)]),
        ("bpe", ["▁turn", "▁o", "n"], [(0, 1), (1, 3)]),
        ("bpe", ["t", "urn", "▁", "on", "▁"], [(0, 2), (3, 4)]),
        ("bpe", ["▁", "▁on"], [(1, 2)]),
        ("word", ["turn", "<space>", "▁on"], [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_words_of_tokens(kind, tokens, spans):
    assert word_spans(tokens, kind) == spans


@given(st.lists(st.sampled_from(["a", "b", "<space>"])))
def test_spans_are_the_words_of_the_text(tokens):
    text = "".join(tokens).replace("<space>", " ")
    assert ["".join(tokens[first:end]) for first, end in word_spans(tokens, "char")] == text.split()


def test_times_are_those_of_the_first_and_the_last_token():
    frames = [(2, 3), (5, 7), (7, 8), (8, 9)]
    assert timed_words(["ab", "c"], [(0, 2), (3, 4)], frames) == [TimedWord("ab", 80, 280), TimedWord("c", 320, 360)]
