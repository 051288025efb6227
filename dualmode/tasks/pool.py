"""Several feature folders as one training set, long recordings cut: lists only, no feature is copied."""

import argparse
import hashlib
import heapq
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dualmode.data.feature_index import stamps
from dualmode.data.kaldi_dir import table_writers
from dualmode.data.speed import original
from dualmode.errors import UserError
from dualmode.frames import FEATURE_MS
from dualmode.progress import progress
from dualmode.tasks.feature_lists import FILES, SHAPES, Row, lists_of, read_lists
from dualmode_runtime.files import write_json
from dualmode_runtime.tables import c_order, iterate_table

ABOUT = "pooled.json"
MOST_COPIES = 1000  # of a source


@dataclass(frozen=True)
class Source:
    """A feature folder of dualmode make-fbank, and how often each of its utterances is in an epoch."""

    path: Path
    weight: float = 1.0


def parse_source(text: str) -> Source:
    """Argparse type: DIR or DIR:WEIGHT.

    >>> parse_source("/tmp:2.5").weight
    2.5
    """
    if Path(text).is_dir():
        return Source(Path(text))
    folder, colon, number = text.rpartition(":")
    if not colon or not Path(folder).is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {folder if colon else text}")
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not 0 < weight <= MOST_COPIES:
        raise argparse.ArgumentTypeError(
            f"{text}: the weight after the colon must be a number above 0, and at most {MOST_COPIES}"
        )
    return Source(Path(folder), weight)


def number_of(utterance: str, seed: int) -> int:
    """Return the number by which an utterance is chosen, the same for its speed-perturbed copies."""
    return int.from_bytes(hashlib.sha256(f"{seed} {original(utterance)}".encode()).digest()[:8], "big")


def chosen(utterances: Iterable[str], share: float, seed: int) -> Callable[[str], bool]:
    """Return which of the utterances are a ``share`` of them: those with the smallest numbers.

    Which ones depends on nothing else.  Speed-perturbed copies go with their original, so that a share of 0.1 leaves a
    tenth of the transcripts.  Takes 8 bytes of memory an utterance, twice.
    """
    numbers = np.unique(np.fromiter((number_of(utterance, seed) for utterance in utterances), np.uint64))
    count = round(share * len(numbers))
    last = int(numbers[count - 1]) if count else -1
    return lambda utterance: number_of(utterance, seed) <= last


def copies(utterances: Iterable[str], weight: float, seed: int) -> list[Callable[[str], bool]]:
    """Return for each copy which utterances are in it: 2.5 is two copies of all and a third one of half of them.

    Reads ``utterances`` where not all are in the last one.

    >>> [sum(in_copy(u) for in_copy in copies("abcd", weight, seed=0) for u in "abcd") for weight in (0.25, 1, 2.5)]
    [1, 4, 10]
    """
    whole = int(weight)
    some = [chosen(utterances, weight - whole, seed)] if weight > whole else []
    return [lambda utterance: True] * whole + some


def pieces(frames: int, longest: int) -> list[tuple[int, int]]:
    """Return the fewest equal pieces (first frame, end) of at most ``longest`` frames; sizes differ by at most one.

    >>> pieces(10, 4)
    [(0, 3), (3, 6), (6, 10)]
    """
    count = -(-frames // longest)
    ends = [frames * number // count for number in range(count + 1)]
    return list(zip(ends, ends[1:], strict=False))


def pool(sources: Sequence[Source], out: Path, names: Sequence[str], max_ms: int | None = None, seed: int = 0) -> Path:
    """Return a folder that holds ``sources`` as one set: ``out``, or the only source where nothing has to be changed.

    Ids get a prefix with the number of the source and of the copy where there are several, and a suffix with the
    centiseconds of a piece, as Kaldi's segments have it; a piece is a range of rows in feats.scp::

        0-0-anna-01-0000000-0001500 dump/a/shards/00001.ark:8[0:1499]

    A piece is read by reading the whole recording, so recordings of hours are better cut before stage 1.

    Args:
        sources: what is pooled.
        out: folder for the lists, written unless they are there already, of the same sources.
        names: of the data that the task reads, "speech" and perhaps "text".
        max_ms: longest piece; None cuts nothing.
        seed: of the choice for weights that are no whole numbers.

    Raises:
        UserError: a list is missing or they contradict each other, a transcript would have to be cut, or nothing is
            left.
    """
    several = len(sources) > 1 or sources[0].weight != 1.0
    if not several and max_ms is None:
        return sources[0].path
    longest = None if max_ms is None else max_ms // FEATURE_MS
    if longest is not None and longest < 1:
        raise UserError(f"--max-ms is {max_ms}: it must be at least a feature frame of {FEATURE_MS} ms")
    if longest is not None and "text" in names:
        raise UserError("--max-ms cuts recordings, but their transcripts cannot be cut: use it for pre-training only")
    files = [*(FILES[name] for name in names), SHAPES]
    made_from = [[source.weight, *stamps(lists_of(source.path, files))] for source in sources]
    about = {"sources": made_from, "max_ms": max_ms, "seed": seed}
    if is_done(out, about, files):
        return out
    (out / ABOUT).unlink(missing_ok=True)  # lists that are half of others are not taken for what it says
    left = 0
    with table_writers(out, files) as writers:
        for name, values in in_order(_lines(sources, names, several, longest, seed)):
            left += 1
            for file, value in zip(files, values, strict=True):
                writers[file].write(f"{name} {value}".rstrip(" ") + "\n")
        if not left:
            raise UserError(
                f"nothing is left of {', '.join(str(source.path) for source in sources)}: raise the weights"
            )
    write_json(out / ABOUT, about)
    return out


def described(out: Path) -> str | None:
    """Return what :func:`pool` has made a folder of, in words; None where it has made none.

    >>> described(Path("nowhere"))
    """
    try:
        about = json.loads((out / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    sources = [f"{Path(lists[0][0]).parent}:{weight:g}" for weight, *lists in about["sources"]]
    cut = "" if about["max_ms"] is None else f", cut at {about['max_ms']} ms"
    return f"{' '.join(sources)}{cut}, chosen with seed {about['seed']}"


def is_done(out: Path, about: dict, files: Sequence[str]) -> bool:
    """Return whether ``out`` has been made of the same lists in the same way."""
    try:
        same = json.loads((out / ABOUT).read_text(encoding="utf-8")) == about
    except (OSError, ValueError):
        return False
    return same and all((out / file).is_file() for file in files)


def in_order(lines: Iterable[tuple[str, str, Row]]) -> Iterator[tuple[str, Row]]:
    """Yield (name, values) in C order.

    Args:
        lines: (from, name, values): ``from`` is in C order, and no name comes before its ``from``.

    >>> [name for name, _ in in_order([("a", "a-000", ()), ("a", "a-100", ()), ("a-05", "a-05", ()), ("b", "b", ())])]
    ['a-000', 'a-05', 'a-100', 'b']
    """
    waiting: list[tuple[bytes, str, Row]] = []
    for begin, name, values in lines:
        first = c_order(begin)
        while waiting and waiting[0][0] < first:
            yield heapq.heappop(waiting)[1:]
        heapq.heappush(waiting, (c_order(name), name, values))
    for _, name, values in sorted(waiting):
        yield name, values


def _lines(
    sources: Sequence[Source], names: Sequence[str], several: bool, longest: int | None, seed: int
) -> Iterator[tuple[str, str, Row]]:
    """Yield what :func:`in_order` wants: each copy of each source, as their prefixes are ordered."""
    parts = {}
    for index, source in enumerate(sources):
        ids = (utterance for utterance, _ in iterate_table(source.path / FILES[names[0]], paths=True))
        for number, in_copy in enumerate(copies(ids, source.weight, seed)):
            parts[f"{index}-{number}-" if several else ""] = source.path, in_copy
    for prefix in sorted(parts, key=c_order):
        folder, in_copy = parts[prefix]
        for utterance, values in progress(read_lists(folder, names), f"reading {folder}"):
            if in_copy(utterance):
                name = prefix + utterance
                for piece, entry in _cut(name, values, longest, folder):
                    yield name, piece, entry


def _cut(name: str, values: Row, longest: int | None, folder: Path) -> Iterator[tuple[str, Row]]:
    """Yield the id and the values of each piece of an utterance, the first one feats.scp's, the last one its shape."""
    if longest is None:
        yield name, values
        return
    target, *_, shape = values
    frames, _, bins = shape.partition(",")
    if int(frames) <= longest:
        yield name, values
        return
    if target.endswith("]"):
        raise UserError(f"{folder}/feats.scp has ranges of rows already, which --max-ms cannot cut again")
    for first, end in pieces(int(frames), longest):
        yield f"{name}-{first:07d}-{end:07d}", (f"{target}[{first}:{end - 1}]", f"{end - first},{bins}")
