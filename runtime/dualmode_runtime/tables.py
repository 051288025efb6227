"""Kaldi's tables: ``key value`` lines in C order and UTF-8; a table of recordings is ``wav.scp``."""

import os
from collections.abc import Iterator
from pathlib import Path

from dualmode_runtime.errors import UserError
from dualmode_runtime.lines import BLANK, check_blanks, read_lines


def c_order(name: str) -> bytes:
    """Sort key of ``LC_ALL=C sort``: the bytes of the UTF-8 form.

    >>> sorted(["b", "a-1", "a", "B"], key=c_order)
    ['B', 'a', 'a-1', 'b']
    """
    return name.encode("utf-8")


def iterate_table(path: str | os.PathLike, paths: bool = False) -> Iterator[tuple[str, str]]:
    """Yield (key, value) of ``key value...`` lines, in the file's (C) order; a key alone has the value "".

    The value is the rest of the line without blanks around it.  Only one line is in memory at a time.

    Args:
        paths: values are paths, which may hold a no-break space.

    Raises:
        UserError: the file is missing; a line is empty, not UTF-8, has no key or a character that is a blank for some
            programs only (see :mod:`dualmode_runtime.lines`); a key comes twice; keys are unsorted.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    last = ""
    for number, line in read_lines(path):
        key, *rest = BLANK.split(line.rstrip(" \t"), maxsplit=1)
        check_blanks(key if paths else line, f"{path}:{number}")
        if paths:
            check_blanks(line, f"{path}:{number}", path=True)
        if not key:
            raise UserError(f"{path}:{number}: the line is empty or starts with a blank: expected an id and its value")
        if key == last:
            raise UserError(f"{path}:{number}: the id {key} comes twice: ids must be unique")
        if c_order(key) < c_order(last):
            raise UserError(f"{path}:{number}: {key} comes after {last}: sort the file with LC_ALL=C sort")
        yield key, rest[0] if rest else ""
        last = key


def iterate_wav_scp(path: Path) -> Iterator[tuple[str, str]]:
    """Read wav.scp; commands (``sox ... |``) are refused, since no shell is ever built from data."""
    for number, (utt, value) in enumerate(iterate_table(path, paths=True), start=1):
        if not value:
            raise UserError(f"{path}:{number}: {utt} has no path")
        if value.endswith("|") or value.startswith("|"):
            raise UserError(
                f"{path}:{number}: {utt} is a command, not a file; commands in data are never run: "
                "convert the audio to WAV or FLAC files first and list their paths"
            )
        yield utt, value
