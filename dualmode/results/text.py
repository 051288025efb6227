"""Transcripts in Kaldi ``text`` files: an utterance id, then its words."""

import os
from pathlib import Path

from dualmode.errors import UserError
from dualmode.lines import check_blanks, read_lines, words

Transcripts = dict[str, tuple[str, ...]]


def read_text(path: str | os.PathLike) -> Transcripts:
    """Return the words of each utterance, in the file's order.

    Blanks are those of :mod:`dualmode.lines`; lines may be in any order, the last one may lack its end, and lines may
    end as Windows ends them, since other programs write hypotheses, too.  An id alone is an utterance without words. ::

        utt1 turn on the light      ->   {"utt1": ("turn", "on", "the", "light"),
        utt2                              "utt2": ()}

    Raises:
        UserError: the file cannot be read, is not UTF-8, has an empty line, the same id twice, or a character that is a
            blank for some programs only.
    """
    path = Path(path)
    transcripts: Transcripts = {}
    try:
        for number, line in read_lines(path, complete=False):
            check_blanks(line, f"{path}:{number}")
            utterance, *said = words(line) or [""]
            if not utterance:
                raise UserError(f"{path}:{number} is empty; each line is an utterance id, then its words")
            if utterance in transcripts:
                raise UserError(f"{path}:{number} has utterance {utterance!r} a second time; keep one of the two")
            transcripts[utterance] = tuple(said)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    return transcripts
