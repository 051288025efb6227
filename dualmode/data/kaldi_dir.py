"""Kaldi data folders: ``wav.scp``, ``text``, ``utt2spk``, ``spk2utt``, ``utt2dur``, sorted in C order, in UTF-8.

    data/test/wav.scp    anna-01 downloads/anna/01.flac      path relative to the current folder, or absolute
    data/test/text       anna-01 turn on the light
    data/test/utt2spk    anna-01 anna
    data/test/spk2utt    anna anna-01 anna-02
    data/test/utt2dur    anna-01 1.850000                    seconds

Of Kaldi's format two things are refused with a sentence: commands in wav.scp (data must never start a program) and
``segments`` files.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dualmode.errors import UserError
from dualmode.files import atomic_write

_BLANK = re.compile(r"[ \t]+")


def c_order(name: str) -> bytes:
    """Sort key of ``LC_ALL=C sort``: the bytes of the UTF-8 form.

    >>> sorted(["b", "a-1", "a", "B"], key=c_order)
    ['B', 'a', 'a-1', 'b']
    """
    return name.encode("utf-8")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end)."""
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        raise UserError(f"{path}: the last line has no end, the file may be cut off: complete it or add a newline")
    for number, raw in enumerate(data.split(b"\n")[:-1], start=1):
        if raw.endswith(b"\r"):
            raise UserError(f"{path}:{number}: Windows line end (CR LF): convert the file with dos2unix")
        try:
            yield number, raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{path}:{number}: byte 0x{raw[error.start]:02x} at column {error.start + 1} is not UTF-8: "
                "convert the file, for example with iconv -t UTF-8"
            ) from None


def read_table(path: str | os.PathLike) -> dict[str, str]:
    """Read ``key value...`` lines; a key alone has the value "".

    Returns:
        key to the rest of its line, without blanks around it, in the file's (C) order.

    Raises:
        UserError: the file is missing; a line is empty, not UTF-8 or has no key; a key comes twice; keys are unsorted.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    table: dict[str, str] = {}
    last = ""
    for number, line in _lines(path):
        key, *rest = _BLANK.split(line.rstrip(" \t"), maxsplit=1)
        if not key:
            raise UserError(f"{path}:{number}: the line is empty or starts with a blank: expected an id and its value")
        if key in table:
            raise UserError(f"{path}:{number}: the id {key} comes twice: ids must be unique")
        if table and c_order(key) < c_order(last):
            raise UserError(f"{path}:{number}: {key} comes after {last}: sort the file with LC_ALL=C sort")
        table[key] = rest[0] if rest else ""
        last = key
    return table


def write_table(path: str | os.PathLike, table: Mapping[str, object]) -> None:
    """Write ``key value`` lines in C order, atomically."""
    with atomic_write(path) as out:
        for key in sorted(table, key=c_order):
            out.write(f"{key} {table[key]}".rstrip(" ") + "\n")


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
class KaldiDir:
    """The tables of one folder, each from utterance to value, in C order; a file that is not there is None."""

    path: Path
    wav_scp: dict[str, str]
    utt2spk: dict[str, str]
    text: dict[str, str] | None = None
    utt2dur: dict[str, str] | None = None

    def utterances(self) -> list[str]:
        """Every utterance that any of wav.scp, text and utt2spk names, in C order."""
        return sorted({*self.wav_scp, *(self.text or ()), *self.utt2spk}, key=c_order)


def read_wav_scp(path: str | os.PathLike) -> dict[str, str]:
    """Read wav.scp; commands (``sox ... |``) are refused, since no shell is ever built from data.

    Raises:
        UserError: see :func:`read_table`; a value is a command or missing.
    """
    table = read_table(path)
    for number, (utt, value) in enumerate(table.items(), start=1):
        if not value:
            raise UserError(f"{path}:{number}: {utt} has no path")
        if value.endswith("|") or value.startswith("|"):
            raise UserError(
                f"{path}:{number}: {utt} is a command, not a file; commands in data are never run: "
                "convert the audio to WAV or FLAC files first and list their paths"
            )
    return table


def read_kaldi_dir(path: str | os.PathLike, with_text: bool = True) -> KaldiDir:
    """Read a folder and check that its files agree with each other.

    Single utterances that lack something are not this function's business (see :mod:`dualmode.data.validate`).

    Args:
        with_text: False for unlabelled speech, whose folder has no ``text`` (and if it has one, it is not read).

    Raises:
        UserError: a file is missing or malformed, files contradict each other, or there is a ``segments`` file.
    """
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"there is no data folder {path}")
    if (path / "segments").exists():
        raise UserError(
            f"{path}/segments is not supported: cut the recordings into one audio file per utterance "
            "and list these in wav.scp"
        )
    if with_text and not (path / "text").is_file():
        raise UserError(f"there is no file {path}/text: write the transcripts, or say that there are none (--no-text)")
    folder = KaldiDir(
        path=path,
        wav_scp=read_wav_scp(path / "wav.scp"),
        utt2spk=read_table(path / "utt2spk"),
        text=read_table(path / "text") if with_text else None,
        utt2dur=read_table(path / "utt2dur") if (path / "utt2dur").is_file() else None,
    )
    _check_utt2spk(folder)
    _check_spk2utt(folder)
    _check_utt2dur(folder)
    return folder


def _check_utt2spk(folder: KaldiDir) -> None:
    for utt, spk in folder.utt2spk.items():
        if _BLANK.search(spk):
            raise UserError(f"{folder.path}/utt2spk: {utt} has more than one speaker: {spk}")


def _check_spk2utt(folder: KaldiDir) -> None:
    path = folder.path / "spk2utt"
    if not path.is_file():
        return
    repair = "write it anew from utt2spk (or remove it: it is optional)"
    listed: dict[str, str] = {}
    for spk, utts in read_table(path).items():
        for utt in _BLANK.split(utts) if utts else ():
            if utt in listed:
                raise UserError(f"{path}: the utterance {utt} is listed twice: {repair}")
            listed[utt] = spk
    known = {utt: spk for utt, spk in folder.utt2spk.items() if spk}
    for utt in sorted({*listed, *known}, key=c_order):
        if listed.get(utt) != known.get(utt):
            here, there = listed.get(utt, "no speaker"), known.get(utt, "no speaker")
            raise UserError(f"{path} gives the utterance {utt} {here}, utt2spk gives it {there}: {repair}")


def _check_utt2dur(folder: KaldiDir) -> None:
    known = set(folder.utterances())
    for utt, value in (folder.utt2dur or {}).items():
        if utt not in known:
            raise UserError(f"{folder.path}/utt2dur names the utterance {utt}, which no other file of the folder has")
        try:
            good = float(value) > 0
        except ValueError:
            good = False
        if not good:
            raise UserError(f"{folder.path}/utt2dur: {utt} has the duration {value!r}: expected seconds, above 0")


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
