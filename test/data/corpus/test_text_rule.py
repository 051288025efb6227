import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode.data.corpus.text_rule import RULES, has_numbers, helping_rule, named_rule
from dualmode.data.tokens import Tokenizer
from dualmode.errors import UserError


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("keep", "Don’t  wait -- it's 5 o'clock!".replace("  ", " ")),  # noqa: RUF001
        ("lower", "don’t wait -- it's 5 o'clock!"),  # noqa: RUF001
        ("plain", "don't wait it's 5 o'clock"),
        ("upper", "DON'T WAIT IT'S 5 O'CLOCK"),
    ],
)
def test_each_rule(rule, expected):
    assert RULES[rule].apply("Don’t  wait -- it's 5 o'clock!") == expected  # noqa: RUF001


def test_accents_are_composed_and_signs_that_are_said_stay():
    assert RULES["keep"].apply("e\u0301te\u0301") == "été"
    assert RULES["plain"].apply("'Tis 50 % «plus»…") == "tis 50 % plus"
    assert has_numbers("€") and not has_numbers("euro, 'tis")


# Marks of the direction of writing, which web text in Hebrew and Arabic has, and what drives a terminal.
@pytest.mark.parametrize(
    "sign", "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\x7f\x1b\x01\x9f"
)
@pytest.mark.parametrize("rule", sorted(RULES))
def test_what_no_token_can_have_is_left_out(rule, sign):
    text = RULES[rule].apply(f"{sign}e{sign}\u0301te{sign} on{sign}\x85it")
    assert text.lower() == "éte on it"
    Tokenizer("char", ["<blank>", "<unk>", "<space>", *sorted(set(text) - {" "})])


@pytest.mark.parametrize("rule", sorted(RULES))
def test_words_of_invisible_signs_alone_are_none(rule):
    assert RULES[rule].apply("\u200b") == RULES[rule].apply(" \ufeff \u202b\u00ad \u2060\u200c") == ""
    assert RULES[rule].apply("go \u200b on").lower() == "go on"
    assert RULES["keep"].apply("go\u200bon") == "go\u200bon"


@settings(max_examples=40, deadline=None)
@given(st.text(), st.sampled_from(sorted(RULES)))
def test_a_rule_is_done_once_and_for_all(text, name):
    once = RULES[name].apply(text)
    assert RULES[name].apply(once) == once
    assert once == " ".join(once.split())


def test_the_rule_that_helps_is_found_with_the_tokens_of_a_model():
    tokens = Tokenizer("char", ["<blank>", "<unk>", "<space>", *"abcdefghijklmnopqrstuvwxyz'"])
    assert helping_rule(["Turn it on.", "What's that?", "No 5."], tokens.unseen) == ("plain", 1)
    assert helping_rule(["Turn it on", "No"], tokens.unseen) == ("lower", 0)
    capitals = Tokenizer("char", ["<blank>", "<unk>", "<space>", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"])
    assert helping_rule(["turn it on."], capitals.unseen) == ("upper", 0)
    assert helping_rule(["5", "6"], tokens.unseen) is None


def test_an_unknown_rule_is_named():
    with pytest.raises(UserError, match="no text rule 'plane': it must be one of keep, lower, plain, upper"):
        named_rule("plane")
