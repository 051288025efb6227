"""tokens.txt as sherpa-onnx reads it: a symbol and its number a line, U+2581 where a word begins."""

from collections.abc import Sequence

from dualmode.data.tokens import SPACE, WORD_START
from dualmode.errors import UserError

BLANK = "<blk>"


def symbols(kind: str, tokens: Sequence[str]) -> list[str]:
    """Return the symbol of each token.

    >>> symbols("char", ["<blank>", "<unk>", "<space>", "a"])
    ['<blk>', '<unk>', '▁', 'a']
    >>> symbols("word", ["<blank>", "<unk>", "yes"])
    ['<blk>', '▁<unk>', '▁yes']

    Args:
        kind: "char", "word" or "bpe".
        tokens: the vocabulary, the blank first.

    Raises:
        UserError: a token has white space in it, or two would look alike.
    """
    text = tokens[1:]
    if kind == "char":
        text = [WORD_START if token == SPACE else token for token in text]
    elif kind == "word":
        text = [WORD_START + token for token in text]
    for token in text:
        if not token or any(char.isspace() for char in token):
            raise UserError(f"the token {token!r} has white space in it, which sherpa-onnx's tokens.txt cannot hold")
    if len({BLANK, *text}) != len(tokens):
        twice = next(token for token in [BLANK, *text] if [BLANK, *text].count(token) > 1)
        raise UserError(f"two tokens would both be {twice} in sherpa-onnx's tokens.txt: rename one of them")
    return [BLANK, *text]
