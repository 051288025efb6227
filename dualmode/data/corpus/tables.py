"""Manifests of one utterance a line: JSON lines (NeMo's, Hugging Face's), CSV and TSV (Common Voice's).

What a column holds follows from its name, in whatever kind of file:

    audio     audio_filepath, file_name, path, ...     relative to the manifest, its folder clips, or --audio-dir
    text      text, sentence, transcription, ...
    speaker   client_id, speaker, speaker_id, spk, ... optional, as are the rest
    id        id, utt_id, utterance_id
    split     split, set, subset
    offset    offset, start, start_time                seconds
    duration  duration                                 seconds; or
    end       end, end_time                            seconds
"""

import codecs
import csv
import gzip
import io
import json
import math
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from dualmode.data.corpus.row import LONGEST_S, Row, set_of
from dualmode.errors import UserError
from dualmode.lines import is_unicode, printable
from dualmode_runtime.audio.media import BY_FFMPEG, BY_SNDFILE

NAMES = {
    "audio": ("audio_filepath", "file_name", "path", "audio", "wav_filename", "filename", "wav", "file"),
    "text": ("text", "sentence", "transcription", "transcript"),
    "speaker": ("client_id", "speaker", "speaker_id", "spk", "spk_id"),
    "id": ("id", "utt_id", "utterance_id"),
    "split": ("split", "set", "subset"),
    "offset": ("offset", "start", "start_time"),
    "duration": ("duration",),
    "end": ("end", "end_time"),
}
NEEDED = ("audio", "text")
# What is raised where a compressed file is cut off, or has other bytes than were written.
DAMAGED = (gzip.BadGzipFile, EOFError, zlib.error)


def parse_columns(text: str) -> dict[str, str]:
    """Return what ``audio=wav,text=words,offset=`` says, the last one that no column holds it; else a UserError.

    >>> parse_columns("text=words")
    {'text': 'words'}
    """
    columns = {}
    for part in filter(None, text.split(",")):
        what, mark, name = part.partition("=")
        if what not in NAMES or not mark or (not name and what in NEEDED):
            raise UserError(f"--columns {part}: expected WHAT=COLUMN, where WHAT is one of {', '.join(NAMES)}")
        columns[what] = name
    return columns


def find_columns(there: Mapping[str, Any], wanted: Mapping[str, str]) -> dict[str, str]:
    """Return which column holds what.

    Args:
        there: the columns.
        wanted: as the user says.

    Raises:
        UserError: a column is not there.
    """
    columns = {}
    for what, names in NAMES.items():
        if wanted.get(what) == "":  # no column holds it, whatever they are called
            continue
        if what in wanted and wanted[what] not in there:
            raise UserError(f"it has no column {wanted[what]} (--columns); it has {', '.join(there)}")
        found = wanted.get(what) or next((name for name in names if name in there), None)
        if found is None and what in NEEDED:
            data = any(Path(str(name)).suffix.lower() in BY_SNDFILE | BY_FFMPEG for name in there)
            raise UserError(
                f"it has no column that is known to hold the {what} ({', '.join(names)}); it has "
                f"{', '.join(there)}: "
                + (
                    "that is data, so put a line with the names of the columns before it"
                    if data
                    else f"name one with --columns {what}=NAME"
                )
            )
        if found is not None:
            columns[what] = found
    return columns


def open_text(path: Path) -> TextIO:
    """Open a text file for reading, unpacked if it ends in .gz, without a byte-order mark."""
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path), encoding="utf-8-sig", newline="")
    return open(path, encoding="utf-8-sig", newline="")


# A line of a manifest: its columns and values, or why it is no record.
Record = Mapping[str, Any] | UserError


def records(path: Path) -> Iterator[tuple[str, Record]]:
    """Yield ("file:line", record) of a manifest; only one line is in memory at a time.

    Raises:
        UserError: the file cannot be read on: it is empty, damaged, not UTF-8, or of other columns or quotes.
    """
    kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    try:
        with open_text(path) as lines:
            yield from _json_lines(path, lines) if kind in (".jsonl", ".json") else _delimited(path, lines, kind)
    except UnicodeDecodeError as error:
        wide = path.suffix != ".gz" and path.open("rb").read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        raise UserError(
            f"{path} is not UTF-8 ({error.reason}): convert it, such as with iconv -f {'UTF-16' if wide else 'LATIN1'} "
            "-t UTF-8"
        ) from None
    except DAMAGED as error:
        raise UserError(f"{path} is damaged: {error}") from None


def _json_lines(path: Path, lines: TextIO) -> Iterator[tuple[str, Record]]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield f"{path}:{number}", _json_object(line)


def _json_object(line: str) -> Record:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        said = str(error)
        if isinstance(error, json.JSONDecodeError):
            said = f"{error.msg}, at character {error.pos + 1}"
        return UserError(f"it is not JSON ({said}); expected an object a line (from an array: jq -c '.[]')")
    if not isinstance(record, dict):
        return UserError(f"expected a JSON object a line, not a {type(record).__name__}")
    return record


def _delimited(path: Path, lines: TextIO, kind: str) -> Iterator[tuple[str, Record]]:
    # Common Voice's TSV has quotes that are a part of the sentence, and no quoting.
    options: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if kind == ".tsv" else {}
    reader = csv.reader(lines, strict=True, **options)
    try:
        header = next(reader, None)
        if not header:
            raise UserError(f"{path} is empty: expected a line with the names of the columns")
        if len(header) == 1 and (other := next((mark for mark in ";\t|" if mark in header[0]), None)):
            expected = "tabs" if kind == ".tsv" else "commas"
            raise UserError(f"{path}:1 has {other!r} between its columns: {expected} are expected there")
        known = {name for names in NAMES.values() for name in names}
        if twice := [name for name, count in Counter(header).items() if count > 1 and name in known]:
            raise UserError(f"{path}:1 names the column {twice[0]!r} twice: give one of them another name")
        quoted = kind != ".tsv"
        for row in reader:
            if not quoted and any(_is_quoted(value) for value in row):
                quoted = True
                print(
                    f"{path}:{reader.line_num}: quotes are doubled, as programs write them into a CSV; a TSV is read "
                    "as it is, quotes and all: save it as .csv, or without quoting",
                    flush=True,
                )
            if len(row) == len(header):
                yield f"{path}:{reader.line_num}", dict(zip(header, row, strict=True))
            elif row:
                wrong = UserError(f"it has {len(row)} columns, the first line {len(header)}")
                yield f"{path}:{reader.line_num}", wrong
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: {error}: is it a table of {kind[1:].upper()}?") from None


def _is_quoted(value: str) -> bool:
    """Return whether a value looks as CSV writes one that has quotes.

    >>> _is_quoted('"he said ""two"" twice"'), _is_quoted('"Yes", he said, "no".'), _is_quoted('"Hello."')
    (True, False, False)
    """
    inner = value[1:-1]
    return value[:1] == value[-1:] == '"' and '""' in inner and '"' not in inner.replace('""', "")


def read_table_rows(
    path: Path, columns: Mapping[str, str], audio_dir: Path | None = None, part: str | None = None
) -> Iterator[Row]:
    """Yield the utterances of a manifest; one that cannot be used has a fault, and the others follow.

    Args:
        columns: which holds what, where its name does not say it.
        audio_dir: what paths of audio are relative to; by default the folder clips beside the manifest (Common Voice's)
            of a path without a folder that is not in the manifest's own, where clips is there, else the manifest's.
        part: the set that all of them are in; by default the column split says.

    Raises:
        UserError: the first line does not have what is needed, or the file cannot be read on.
    """
    found: dict[str, str] = {}
    keys: list[str] = []
    clips = path.parent / "clips"
    has_clips = clips.is_dir()
    for where, record in records(path):
        own = None
        try:
            if isinstance(record, UserError):
                raise record
            own = next((record[name] for name in (columns.get("id"), *NAMES["id"]) if name in record), None)
            if list(record) != keys:  # lines of JSON need not all have the same
                if keys and not {columns.get("text"), *NAMES["text"]} & set(record):
                    record = {**record, found["text"]: None}  # it is this utterance alone that has none
                first, found, keys = not keys, find_columns(record, columns), list(record)
                if first:
                    _tell_unused(path, keys, found)
            values = {what: record.get(name) for what, name in found.items()}
            _check_unicode(values.values())
            audio = _audio_path(found["audio"], values["audio"])
            words = {what: _text(what, values.get(what)) for what in ("text", "speaker", "id", "split")}
            start, seconds = _times(values)
        except UserError as error:
            if not keys:  # what the first line lacks, all others are likely to lack
                raise UserError(f"{where if record is error else path}: {error}") from None
            yield _unusable(path, where, own, part, str(error))
            continue
        beside = audio_dir or path.parent
        if audio_dir is None and has_clips and "/" not in audio and not os.path.exists(path.parent / audio):
            beside = clips
        yield Row(
            where=where,
            audio=beside / audio,
            text=words["text"],
            speaker=words["speaker"] or None,
            name=words["id"] or None,
            part=part or set_of(words["split"]),
            start=start,
            seconds=seconds,
        )


def _unusable(path: Path, where: str, own: Any, part: str | None, fault: str) -> Row:
    """Return the row of a line that has to be rejected; without a good id of its own it is named by its place."""
    own = _said(own)
    named = own is not None and str(own).isprintable() and str(own)
    line = where.rpartition(":")[2]
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in fault)
    return Row(where, path, None, name=named or f"{path.stem}-line-{line}", part=part, fault=shown)


def _check_unicode(values: Iterable[Any]) -> None:
    """Raise UserError for halves of a pair of surrogates, which JSON can hold and no file of ours."""
    for value in values:
        if isinstance(value, str) and not is_unicode(value):
            raise UserError(f"{ascii(value)} is not Unicode text")


def _audio_path(column: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise UserError(f"{column} is {value!r}: expected the path of an audio file")
    if value.rstrip().endswith("|"):
        raise UserError(f"{column} is {value!r}: Kaldi's lists would take that for a command; rename the file")
    return value


def _tell_unused(path: Path, there: Iterable[str], found: Mapping[str, str]) -> None:
    """Say which columns are not used, and that there is none of speakers: both are easily a name that is not known."""
    if unused := [name for name in there if name not in found.values()]:
        print(f"{path}: not used: {', '.join(map(printable, unused))} (--columns gives them a meaning)", flush=True)
    if "speaker" not in found:
        print(f"{path}: no column is known to hold the speaker ({', '.join(NAMES['speaker'])})", flush=True)


def _text(what: str, value: Any) -> str | None:
    """Return text, or a number as text; None where nothing is said."""
    value = _said(value)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UserError(f"the {what} is {value!r}: expected text")
    return str(value)


def _said(value: Any) -> Any:
    """Return a value, and None for a number that is none: pandas writes NaN where nothing is said."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _times(values: Mapping[str, Any]) -> tuple[float, float | None]:
    """Return where an utterance begins, and how long it is, in seconds; None: to the end of its recording."""
    start, seconds, end = (_number(what, values.get(what)) for what in ("offset", "duration", "end"))
    start = start or 0.0
    if seconds is None and end is not None:
        if end <= start:
            raise UserError(f"the end is {end:g} s, and the beginning {start:g} s: expected a later end")
        seconds = end - start
    return start, seconds


def _number(what: str, value: Any) -> float | None:
    """Return seconds; None where nothing is said, for which pandas writes NaN."""
    if value is None or value == "" or value != value:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 <= number < LONGEST_S:
        raise UserError(f"the {what} is {value!r}: expected seconds")
    return number
