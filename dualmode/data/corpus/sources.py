"""Which kind of corpus a path is, and its utterances, with the sets that it has already."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from dualmode.data.corpus.cuts import CUTS, read_cut_rows
from dualmode.data.corpus.kaldi import read_kaldi_rows
from dualmode.data.corpus.row import SET_NAMES, Row, is_set_name, set_of
from dualmode.data.corpus.tables import DAMAGED, open_text, read_table_rows
from dualmode.errors import UserError
from dualmode.lines import is_unicode

TABLES = (".jsonl", ".json", ".csv", ".tsv")
KNOWN = (
    "a manifest (.jsonl or .json with an object a line, .csv, .tsv; .gz too), cuts of lhotse (.jsonl, .jsonl.gz), "
    "a Kaldi folder (wav.scp), a folder of Common Voice (train.tsv, clips) or an audiofolder (metadata.csv, .jsonl)"
)


@dataclass(frozen=True)
class Source:
    """A path to import, and the set that all of it is in; None: the corpus says so, or it is split."""

    path: Path
    part: str | None = None


@dataclass(frozen=True)
class Reading:
    """How tables are read: which column holds what, and what paths are relative to."""

    columns: Mapping[str, str]
    audio_dir: Path | None = None


def parse_source(text: str) -> Source:
    """Return what ``PATH`` or ``SET=PATH`` means; what is not there, or no name of a set, is a UserError."""
    part, mark, rest = text.partition("=")
    if not mark or Path(text).exists():
        part, rest = "", text
    path = Path(rest)
    if not path.exists():
        raise UserError(f"there is no file or folder {rest}")
    if not is_unicode(rest):
        raise UserError(f"{rest!r}: this name is not UTF-8, as the lists of an import are: rename it")
    if mark and part and not is_set_name(part):
        raise UserError(f"{text}: {part!r} is no name of a set: {SET_NAMES}, such as test=FILE")
    return Source(path, set_of(part))


def rows_of(source: Source, reading: Reading) -> tuple[str, Iterator[Row]]:
    """Return what kind of corpus this is, in words, and its utterances, which are read as they are asked for.

    Raises:
        UserError: it is none that is known.
    """
    path, part = source.path, source.part
    if path.is_dir():
        return _folder(path, part, reading)
    kind = _table_kind(path)
    if kind is None:
        raise UserError(f"{path} is no corpus that can be imported: expected {KNOWN}")
    if kind in (".jsonl", ".json") and _is_cut(path):
        return "cuts of lhotse", read_cut_rows(path, part)
    return f"manifest {kind}", read_table_rows(path, reading.columns, reading.audio_dir, part)


def _folder(path: Path, part: str | None, reading: Reading) -> tuple[str, Iterator[Row]]:
    if (path / "wav.scp").is_file():
        kind = "Kaldi folder with segments" if (path / "segments").is_file() else "Kaldi folder"
        return kind, read_kaldi_rows(path, part)
    voices = [(path / f"{name}.tsv", name) for name in ("train", "dev", "test") if (path / f"{name}.tsv").is_file()]
    if voices:
        return "Common Voice", _tables(voices, part, reading)
    places = [path, *sorted(folder for folder in path.iterdir() if folder.is_dir())]
    lists = []
    for place in places:
        for name in ("metadata.csv", "metadata.jsonl"):
            if (place / name).is_file():
                lists.append((place / name, "" if place == path else place.name))
    if lists:
        return "audiofolder", _tables(lists, part, reading)
    raise UserError(f"{path} is no folder that can be imported: expected {KNOWN}")


def _tables(lists: list[tuple[Path, str]], part: str | None, reading: Reading) -> Iterator[Row]:
    """Chain tables that are a set each; the set of one without a name is that of its column split."""
    return chain.from_iterable(
        read_table_rows(path, reading.columns, reading.audio_dir, part or set_of(name)) for path, name in lists
    )


def _table_kind(path: Path) -> str | None:
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    return suffix if suffix in TABLES else None


def _is_cut(path: Path) -> bool:
    """Whether the first line is a cut; what is no JSON at all is told by who reads it."""
    try:
        with open_text(path) as lines:
            first = json.loads(lines.readline())
    except (ValueError, RecursionError, OSError, *DAMAGED):
        return False
    return isinstance(first, dict) and first.get("type") in CUTS
