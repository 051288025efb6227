"""Manifests of one utterance a line: JSON lines (NeMo's, Hugging Face's), CSV and TSV (Common Voice's).

What a column holds follows from its name, in whatever kind of file:

    audio     audio_filepath, file_name, path, ...     relative to the manifest, its folder clips, or --audio-dir
    text      text, sentence, transcription, ...
    speaker   client_id, speaker, speaker_id           optional, as are the rest
    id        id, utt_id, utterance_id
    split     split, set, subset
    offset    offset                                   seconds
    duration  duration                                 seconds
"""

import csv
import gzip
import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from dualmode.data.corpus.row import SETS, Row
from dualmode.errors import UserError
from dualmode.lines import is_unicode

NAMES = {
    "audio": ("audio_filepath", "file_name", "path", "audio", "wav_filename", "filename", "wav", "file"),
    "text": ("text", "sentence", "transcription", "transcript"),
    "speaker": ("client_id", "speaker", "speaker_id"),
    "id": ("id", "utt_id", "utterance_id"),
    "split": ("split", "set", "subset"),
    "offset": ("offset",),
    "duration": ("duration",),
}
NEEDED = ("audio", "text")


def parse_columns(text: str) -> dict[str, str]:
    """Return what ``audio=wav,text=words`` says; anything else is a UserError.

    >>> parse_columns("text=words")
    {'text': 'words'}
    """
    columns = {}
    for part in filter(None, text.split(",")):
        what, mark, name = part.partition("=")
        if what not in NAMES or not mark or not name:
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
        if what in wanted and wanted[what] not in there:
            raise UserError(f"it has no column {wanted[what]} (--columns); it has {', '.join(there)}")
        found = wanted.get(what) or next((name for name in names if name in there), None)
        if found is None and what in NEEDED:
            raise UserError(
                f"it has no column that is known to hold the {what} ({', '.join(names)}); it has "
                f"{', '.join(there)}: name one with --columns {what}=NAME"
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
        raise UserError(f"{path} is not UTF-8 ({error.reason}): convert it, for example with iconv -t UTF-8") from None
    except (gzip.BadGzipFile, EOFError) as error:
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
        for row in reader:
            if len(row) == len(header):
                yield f"{path}:{reader.line_num}", dict(zip(header, row, strict=True))
            elif row:
                wrong = UserError(f"it has {len(row)} columns, the first line {len(header)}")
                yield f"{path}:{reader.line_num}", wrong
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: {error}: is it a table of {kind[1:].upper()}?") from None


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
                found, keys = find_columns(record, columns), list(record)
            values = {what: record.get(name) for what, name in found.items()}
            _check_unicode(values.values())
            audio = _audio_path(found["audio"], values["audio"])
            start, seconds = _number("offset", values.get("offset")), _number("duration", values.get("duration"))
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
            text=_text(values["text"]),
            speaker=_text(values.get("speaker")) or None,
            name=_text(values.get("id")) or None,
            part=part or SETS.get(str(values.get("split")), _text(values.get("split"))) or None,
            start=start or 0.0,
            seconds=seconds,
        )


def _unusable(path: Path, where: str, own: Any, part: str | None, fault: str) -> Row:
    """Return the row of a line that has to be rejected; without a good id of its own it is named by its place."""
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
    return value


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _number(what: str, value: Any) -> float | None:
    """Return seconds; None where nothing is said."""
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise UserError(f"the {what} is {value!r}: expected seconds")
    return number
