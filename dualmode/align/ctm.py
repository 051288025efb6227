"""Word times as NIST's and Kaldi's CTM: ``utterance channel begin duration word``, times in seconds.

utt1 1 0.28 0.24 turn
utt1 1 0.56 0.12 on
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from dualmode.align.words import TimedWord
from dualmode.data.kaldi_dir import c_order
from dualmode.errors import UserError
from dualmode.results.output import write_lines

CHANNEL = "1"


def write_ctm(path: str | os.PathLike, words: Mapping[str, Sequence[TimedWord]]) -> None:
    """Write the words of each utterance, utterances in C order; times are rounded to 10 ms."""
    write_lines(
        path,
        (
            f"{utt} {CHANNEL} {word.begin_ms / 1000:.2f} {(word.end_ms - word.begin_ms) / 1000:.2f} {word.text}"
            for utt in sorted(words, key=c_order)
            for word in words[utt]
        ),
    )


def read_ctm(path: str | os.PathLike) -> dict[str, list[TimedWord]]:
    """Read the words of each utterance, by time; a sixth field (confidence) is ignored.

    Raises:
        UserError: the file cannot be read, or a line is no word.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text; convert the file, for instance with iconv") from error
    words: dict[str, list[TimedWord]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith(";;"):  # NIST's comments
            continue
        try:
            utt, _, begin, duration, word = line.split(" ")[:5]
            begin_ms, duration_ms = 1000 * float(begin), 1000 * float(duration)
        except ValueError:
            raise UserError(
                f"{path}:{number} is no line of a CTM: expected 'utt channel begin duration word'"
            ) from None
        if not (0 <= begin_ms < float("inf") and 0 <= duration_ms < float("inf")):
            raise UserError(f"{path}:{number}: begin and duration are seconds from 0 on, not {begin} and {duration}")
        words.setdefault(utt, []).append(TimedWord(word, round(begin_ms, 3), round(begin_ms + duration_ms, 3)))
    return {utt: sorted(found, key=lambda word: word.begin_ms) for utt, found in words.items()}
