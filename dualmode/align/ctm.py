"""Word times as NIST's and Kaldi's CTM: ``utterance channel begin duration word``, times in seconds.

utt1 1 0.28 0.24 turn
utt1 1 0.56 0.12 on
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from dualmode.align.words import TimedWord
from dualmode.errors import UserError
from dualmode.lines import check_blanks, read_lines, words
from dualmode.results.output import write_lines
from dualmode_runtime.tables import c_order

CHANNEL = "1"


def write_ctm(path: str | os.PathLike, timed: Mapping[str, Sequence[TimedWord]]) -> None:
    """Write the words of each utterance, utterances in C order; times are rounded to 10 ms."""
    write_lines(
        path,
        (
            f"{utt} {CHANNEL} {word.begin_ms / 1000:.2f} {(word.end_ms - word.begin_ms) / 1000:.2f} {word.text}"
            for utt in sorted(timed, key=c_order)
            for word in timed[utt]
        ),
    )


def read_ctm(path: str | os.PathLike) -> dict[str, list[TimedWord]]:
    """Read the words of each utterance, by time; a sixth field (confidence) is ignored.

    Raises:
        UserError: the file cannot be read, or a line is no word.
    """
    path = Path(path)
    try:
        lines = list(read_lines(path, complete=False))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    timed: dict[str, list[TimedWord]] = {}
    for number, line in lines:
        if line.startswith(";;") or not words(line):  # NIST's comments
            continue
        check_blanks(line, f"{path}:{number}")
        try:
            utt, _, begin, duration, word = words(line)[:5]
            begin_ms, duration_ms = 1000 * float(begin), 1000 * float(duration)
        except ValueError:
            raise UserError(
                f"{path}:{number} is no line of a CTM: expected 'utt channel begin duration word'"
            ) from None
        if not (0 <= begin_ms < float("inf") and 0 <= duration_ms < float("inf")):
            raise UserError(f"{path}:{number}: begin and duration are seconds from 0 on, not {begin} and {duration}")
        timed.setdefault(utt, []).append(TimedWord(word, round(begin_ms, 3), round(begin_ms + duration_ms, 3)))
    return {utt: sorted(found, key=lambda word: word.begin_ms) for utt, found in timed.items()}
