"""Transcripts in Kaldi ``text`` files: an utterance id, then its words."""

import os
from pathlib import Path

from dualmode.errors import UserError

Transcripts = dict[str, tuple[str, ...]]


def read_text(path: str | os.PathLike) -> Transcripts:
    """Return the words of each utterance, in the file's order.

    Fields are separated by ASCII blanks, as Kaldi does it: a no-break or an ideographic space belongs to its word.
    An id alone is an utterance without words.  ::

        utt1 turn on the light      ->   {"utt1": ("turn", "on", "the", "light"),
        utt2                              "utt2": ()}

    Raises:
        UserError: the file cannot be read, is not UTF-8, has an empty line or the same id twice.
    """
    path = Path(path)
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    if lines[-1] == b"":
        lines.pop()
    transcripts: Transcripts = {}
    for number, line in enumerate(lines, start=1):
        try:
            # bytes.split() splits at ASCII blanks only, str.split() at every Unicode one.
            fields = [field.decode("utf-8") for field in line.split()]
        except UnicodeDecodeError as error:
            raise UserError(f"{path}:{number} is not UTF-8 text; convert the file, for instance with iconv") from error
        if not fields:
            raise UserError(f"{path}:{number} is empty; each line is an utterance id, then its words")
        utterance, *words = fields
        if utterance.startswith("\ufeff"):
            raise UserError(f"{path} starts with a byte-order mark; save it as plain UTF-8")
        if utterance in transcripts:
            raise UserError(f"{path}:{number} has utterance {utterance!r} a second time; keep one of the two")
        transcripts[utterance] = tuple(words)
    return transcripts
