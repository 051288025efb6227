"""Tokens: what the recogniser puts out, and how text becomes them and comes back.

A token list is a folder with ``tokens.txt`` (one token a line, its number is the line counted from 0), ``tokens.json``
({"type": "char"}) and, for type bpe, ``bpe.model`` (SentencePiece).  Line 0 is ``<blank>``, line 1 ``<unk>``.

    type    "go on" becomes
    char    g o <space> o n
    word    go on
    bpe     ▁go ▁on

In text every run of blanks (see :mod:`dualmode.lines`) counts as one space, so decode(encode(text)) ==
" ".join(words(text)) for text that the list covers.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from dualmode.errors import UserError
from dualmode.lines import BLANK as BLANKS
from dualmode.lines import check_blanks, printable, read_lines, words
from dualmode_runtime.files import atomic_path

FILES = ("tokens.txt", "tokens.json", "bpe.model")  # all that a token list may consist of
BLANK, UNK, SPACE = "<blank>", "<unk>", "<space>"
WORD_START = "\u2581"  # SentencePiece's mark for a space before a piece
TYPES = ("char", "word", "bpe")


def control_character(text: str) -> str:
    """Return the first control character of a text, which no token can have, as JSON writes it; "" where there is none.

    >>> control_character("go\\x1b on"), control_character("go on")
    ('\\\\u001b', '')
    """
    return next((printable(char) for char in text if printable(char) != char), "") if printable(text) != text else ""


class Tokenizer:
    """Text to token numbers and back.

    Args:
        kind: "char", "word" or "bpe".
        tokens: all tokens, ``<blank>`` and ``<unk>`` first.
        bpe_model: SentencePiece model, for type bpe; read on the first use of encode or unseen.
        where: names the list in errors.

    Raises:
        UserError: the list is no token list of that type.
    """

    blank_id = 0
    unk_id = 1

    def __init__(
        self,
        kind: str,
        tokens: Sequence[str],
        bpe_model: str | os.PathLike | None = None,
        where: str = "the token list",
    ):
        if kind not in TYPES:
            raise UserError(f"{where}: unknown token type {kind!r}: expected one of {', '.join(TYPES)}")
        if list(tokens[:2]) != [BLANK, UNK]:
            raise UserError(f"{where}: a token list starts with {BLANK} and {UNK}, not with {list(tokens[:2])}")
        for line, token in enumerate(tokens, start=1):
            if BLANKS.search(token) or not token:
                raise UserError(f"{where}:{line} is empty or has a blank: a token is a sign, or a word without blanks")
            if printable(token) != token:
                raise UserError(f"{where}:{line} has a control character, {token!r}: text has none; make the list anew")
            check_blanks(token, f"{where}:{line}")
        if twice := [token for token, count in Counter(tokens).items() if count > 1]:
            raise UserError(f"{where} has tokens twice: {sorted(twice)[:5]}")
        if kind == "bpe" and bpe_model is None:
            raise UserError(f"{where}: a token list of type bpe needs its SentencePiece model bpe.model")
        self.kind = kind
        self.tokens = list(tokens)
        self._bpe_path = bpe_model
        # The special tokens are no text: a word "<blank>" in a transcript is an unknown word.
        self._ids = {token: number for number, token in enumerate(self.tokens) if number > self.unk_id}

    @classmethod
    def load(cls, folder: str | os.PathLike) -> "Tokenizer":
        """Read a token list folder.

        Raises:
            UserError: a file is missing or malformed.
        """
        folder = Path(folder)
        for name in ("tokens.txt", "tokens.json"):
            if not (folder / name).is_file():
                raise UserError(f"there is no {folder / name}: make it with dualmode make-tokens")
        try:
            kind = json.loads((folder / "tokens.json").read_text(encoding="utf-8"))["type"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UserError(f"{folder}/tokens.json is no JSON object with the key type") from None
        tokens = [token for _, token in read_lines(folder / "tokens.txt")]
        bpe_model = folder / "bpe.model" if (folder / "bpe.model").is_file() else None
        return cls(kind, tokens, bpe_model, str(folder / "tokens.txt"))

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def _bpe(self):
        import sentencepiece

        try:
            bpe = sentencepiece.SentencePieceProcessor(model_file=str(self._bpe_path))
            pieces = [bpe.id_to_piece(number) for number in range(1, bpe.get_piece_size())]
        except (
            RuntimeError,
            OSError,
            UnicodeDecodeError,
        ) as error:  # pieces that are no UTF-8 are found when asked for
            reason = next(iter(str(error).splitlines()), "")
            raise UserError(f"{self._bpe_path} is no SentencePiece model: {reason}") from None
        if pieces != self.tokens[2:]:
            raise UserError(
                f"{self._bpe_path} has other pieces than the token list beside it: copy both from one place"
            )
        return bpe

    def encode(self, text: str) -> list[int]:
        """Return the token numbers of ``text``; what the list does not cover becomes ``unk_id``."""
        said = words(text)
        if self.kind == "bpe":
            # The model numbers its pieces from <unk> = 0; the list has <blank> before them.
            return [piece + 1 for piece in self._bpe.encode(" ".join(said))]
        units = said if self.kind == "word" else [SPACE if char == " " else char for char in " ".join(said)]
        return [self._ids.get(unit, self.unk_id) for unit in units]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of token numbers; unknown tokens appear as ``<unk>``.

        Raises:
            ValueError: a number is outside the list, or is the blank, which stands for no text (collapse it first).
        """
        ids = [int(number) for number in ids]
        for number in ids:
            if not self.blank_id < number < len(self.tokens):
                raise ValueError(f"token number {number} is not in 1 to {len(self.tokens) - 1}")
        tokens = [self.tokens[number] for number in ids]
        if self.kind == "word":
            return " ".join(tokens)
        mark = SPACE if self.kind == "char" else WORD_START
        return " ".join(words("".join(token.replace(mark, " ") for token in tokens)))

    def unseen(self, text: str) -> list[str]:
        """Return the characters (type word: the words) of ``text`` that the list does not cover, sorted, each once."""
        said = words(text)
        if self.kind == "word":
            return sorted({word for word in said if word not in self._ids})
        if self.kind == "char":
            return sorted({char for word in said for char in word if char not in self._ids})
        surface = self._bpe.encode(" ".join(said), out_type=str)
        numbers = self._bpe.encode(" ".join(said))
        unknown = {char for piece, number in zip(surface, numbers, strict=True) if number == 0 for char in piece}
        # The mark in a transcript would come back as a space.
        return sorted((unknown - {WORD_START}) | ({WORD_START} & set(text)))


def copy_token_list(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """Copy the files of a token list and nothing else that lies beside them; links are not followed out of it.

    Raises:
        UserError: one of its files is a link or no file.
    """
    source, target = Path(source), Path(target)
    target.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        path = source / name
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise UserError(f"{path} is no file of its own: copy the token list without links")
        if path.is_file():
            with atomic_path(target / name) as whole:  # on several machines at once, where others read it already
                whole.write_bytes(path.read_bytes())
