import pytest

from dualmode.errors import UserError
from dualmode.export.tokens import symbols


@pytest.mark.parametrize(
    "tokens, sentence",
    [
        (["<blank>", "<unk>", "a\u00a0b"], "has white space in it"),
        (["<blank>", "<unk>", "<space>", "\u2581"], "two tokens would both be \u2581"),
        (["<blank>", "<unk>", "<blk>"], "two tokens would both be <blk>"),
    ],
)
def test_a_vocabulary_that_the_file_cannot_hold_is_refused(tokens, sentence):
    with pytest.raises(UserError, match=sentence):
        symbols("char", tokens)


def test_sentence_pieces_stay_as_they_are():
    assert symbols("bpe", ["<blank>", "<unk>", "\u2581go", "ing"]) == ["<blk>", "<unk>", "\u2581go", "ing"]
