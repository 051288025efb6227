"""Kaldi data folders: ``wav.scp``, ``text``, ``utt2spk``, ``spk2utt``, ``utt2dur``, sorted in C order, in UTF-8.

    data/test/wav.scp    anna-01 downloads/anna/01.flac      path relative to the current folder, or absolute
    data/test/text       anna-01 turn on the light
    data/test/utt2spk    anna-01 anna
    data/test/spk2utt    anna anna-01 anna-02
    data/test/utt2dur    anna-01 1.850000                    seconds

Of Kaldi's format two things are refused with a sentence: commands in wav.scp (data must never start a program) and
``segments`` files.
"""

import contextlib
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from heapq import merge
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TextIO

from dualmode.errors import UserError
from dualmode.lines import BLANK, words
from dualmode_runtime.files import atomic_write
from dualmode_runtime.tables import c_order, iterate_table, iterate_wav_scp


def read_table(path: str | os.PathLike) -> dict[str, str]:
    """Read a whole table into memory, see :func:`iterate_table`."""
    return dict(iterate_table(path))


def joined(tables: Sequence[Iterable[tuple[str, str]]]) -> Iterator[tuple[str, list[str | None]]]:
    """Yield each key that any of the tables has, in C order, with its value in each of them.

    >>> list(joined([[("a", "1"), ("b", "2")], [("b", "3")]]))
    [('a', ['1', None]), ('b', ['2', '3'])]
    """
    ordered = [map(partial(_numbered, index), table) for index, table in enumerate(tables)]
    for key, rows in groupby(merge(*ordered), key=itemgetter(0)):
        values: list[str | None] = [None] * len(tables)
        for _, index, value in rows:
            values[index] = value
        yield key.decode("utf-8"), values


def _numbered(index: int, row: tuple[str, str]) -> tuple[bytes, int, str]:
    return c_order(row[0]), index, row[1]


def write_table(path: str | os.PathLike, table: Mapping[str, object]) -> None:
    """Write ``key value`` lines in C order, atomically."""
    with atomic_write(path) as out:
        for key in sorted(table, key=c_order):
            out.write(f"{key} {table[key]}".rstrip(" ") + "\n")


@contextlib.contextmanager
def table_writers(folder: str | os.PathLike, names: Iterable[str]) -> Iterator[dict[str, TextIO]]:
    """Yield open files of these names in ``folder``, to be written line by line in C order; they appear at the end."""
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(atomic_write(Path(folder) / name)) for name in names}


def invert(utt2spk: Mapping[str, str]) -> dict[str, str]:
    """Return spk2utt's table.

    >>> invert({"a-1": "a", "a-2": "a", "b-1": "b"})
    {'a': 'a-1 a-2', 'b': 'b-1'}
    """
    utterances: dict[str, list[str]] = {}
    for utt in sorted(utt2spk, key=c_order):
        utterances.setdefault(utt2spk[utt], []).append(utt)
    return {spk: " ".join(utts) for spk, utts in utterances.items()}


@dataclass(frozen=True)
class Utterance:
    """What a folder says about one utterance; None where a file does not name it.

    Attributes:
        utt: its id.
        audio: path of its audio file.
        speaker: id of who speaks.
        text: transcript; always None for unlabelled speech.
        seconds: stated duration.
    """

    utt: str
    audio: str | None
    speaker: str | None
    text: str | None
    seconds: float | None


@dataclass(frozen=True)
class KaldiDir:
    """A folder whose single files are there; :meth:`utterances` reads them, side by side, each time it is called.

    Nothing is kept in memory, so a folder may have any number of utterances.

    Attributes:
        path: the folder.
        with_text: False for unlabelled speech.
    """

    path: Path
    with_text: bool

    def size(self) -> int:
        """Return the number of lines of utt2spk: of utterances, where no file lacks one."""
        with open(self.path / "utt2spk", "rb") as file:
            return sum(1 for _ in file)

    def utterances(self) -> Iterator[Utterance]:
        """Yield every utterance that any of wav.scp, text and utt2spk names, in C order.

        Single utterances that lack something are not this function's business (see :mod:`dualmode.data.validate`).

        Raises:
            UserError: a file is malformed, or files contradict each other.
        """
        text, utt2dur = self.path / "text", self.path / "utt2dur"
        tables = [
            iterate_wav_scp(self.path / "wav.scp"),
            _iterate_utt2spk(self.path / "utt2spk"),
            iterate_table(text) if self.with_text else (),
            iterate_table(utt2dur) if utt2dur.is_file() else (),
        ]
        for utt, (audio, speaker, said, stated) in joined(tables):
            if audio is speaker is said is None:
                raise UserError(f"{utt2dur} names the utterance {utt}, which no other file of the folder has")
            yield Utterance(utt, audio, speaker, said, None if stated is None else _seconds(utt2dur, utt, stated))


def _iterate_utt2spk(path: Path) -> Iterator[tuple[str, str]]:
    for utt, speaker in iterate_table(path):
        if BLANK.search(speaker):
            raise UserError(f"{path}: {utt} has more than one speaker: {speaker}")
        yield utt, speaker


def _iterate_spk2utt(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (utterance, speaker)."""
    for speaker, utts in iterate_table(path):
        for utt in words(utts):
            yield utt, speaker


def _seconds(path: Path, utt: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UserError(f"{path}: {utt} has the duration {value!r}: expected seconds, above 0")
    return seconds


def open_kaldi_dir(path: str | os.PathLike, with_text: bool = True) -> KaldiDir:
    """Look at what files a folder has; their content is checked as it is read.

    Args:
        with_text: False for unlabelled speech, whose folder has no ``text`` (and if it has one, it is not read).

    Raises:
        UserError: a file is missing, there is a ``segments`` file, or spk2utt contradicts utt2spk.
    """
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"there is no data folder {path}")
    if (path / "segments").exists():
        raise UserError(
            f"{path}/segments is not supported: cut the recordings into one audio file per utterance "
            "and list these in wav.scp"
        )
    for name in ("wav.scp", "utt2spk"):
        if not (path / name).is_file():
            raise UserError(f"there is no file {path / name}")
    if with_text and not (path / "text").is_file():
        raise UserError(f"there is no file {path}/text: write the transcripts, or say that there are none (--no-text)")
    _check_spk2utt(path)
    return KaldiDir(path, with_text)


def _check_spk2utt(folder: Path) -> None:
    """Compare spk2utt with utt2spk by the sum of a hash of each (utterance, speaker): their orders differ."""
    if not (folder / "spk2utt").is_file():
        return
    here = sum(_pair_hash(utt, spk) for utt, spk in _iterate_spk2utt(folder / "spk2utt"))
    there = sum(_pair_hash(utt, spk) for utt, spk in _iterate_utt2spk(folder / "utt2spk") if spk)
    if here != there:
        _name_disagreement(folder)


def _pair_hash(utt: str, spk: str) -> int:
    return int.from_bytes(blake2b(f"{utt} {spk}".encode(), digest_size=16).digest(), "big")


def _name_disagreement(folder: Path) -> None:
    path = folder / "spk2utt"
    repair = "write it anew from utt2spk (or remove it: it is optional)"
    listed: dict[str, str] = {}
    for utt, spk in _iterate_spk2utt(path):
        if utt in listed:
            raise UserError(f"{path}: the utterance {utt} is listed twice: {repair}")
        listed[utt] = spk
    known = {utt: spk for utt, spk in iterate_table(folder / "utt2spk") if spk}
    for utt in sorted({*listed, *known}, key=c_order):
        if listed.get(utt) != known.get(utt):
            here, there = listed.get(utt, "no speaker"), known.get(utt, "no speaker")
            raise UserError(f"{path} gives the utterance {utt} {here}, utt2spk gives it {there}: {repair}")


def write_kaldi_dir(
    path: str | os.PathLike,
    wav_scp: Mapping[str, str | os.PathLike],
    utt2spk: Mapping[str, str],
    text: Mapping[str, str] | None = None,
    utt2dur: Mapping[str, float] | None = None,
) -> None:
    """Write a folder as Kaldi wants it: every table sorted in C order, spk2utt derived from utt2spk.

    Args:
        utt2dur: seconds; written with six digits after the point.
    """
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    write_table(path / "wav.scp", wav_scp)
    write_table(path / "utt2spk", utt2spk)
    write_table(path / "spk2utt", invert(utt2spk))
    if text is not None:
        write_table(path / "text", text)
    if utt2dur is not None:
        write_table(path / "utt2dur", {utt: f"{seconds:.6f}" for utt, seconds in utt2dur.items()})
