"""Several feature folders as one training set, long recordings cut: lists only, no feature is copied."""

import argparse
import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dualmode.data.kaldi_dir import joined, read_table, write_table
from dualmode.data.speed import original
from dualmode.errors import UserError
from dualmode.frames import FEATURE_MS
from dualmode_runtime.tables import c_order, iterate_table

FILES = {"speech": "feats.scp", "text": "text"}


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
    if not 0 < weight < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: the weight after the colon must be a number above 0")
    return Source(Path(folder), weight)


def copies(utterances: Sequence[str], weight: float, seed: int) -> Iterator[tuple[str, int]]:
    """Yield (utterance, number of the copy) for a weight: 2.5 is two copies of all and a third one of half of them.

    Which half: the utterances with the smallest SHA-256 of "seed utterance", so the choice depends on nothing else.
    Speed-perturbed copies go with their original, so that a weight of 0.1 leaves a tenth of the transcripts.

    >>> [sum(1 for _ in copies("abcd", weight, seed=0)) for weight in (0.25, 1, 2.5)]
    [1, 4, 10]
    """
    originals = {original(utt) for utt in utterances}
    whole, extra = int(weight), round((weight - int(weight)) * len(originals))
    chosen = set(sorted(originals, key=lambda utt: hashlib.sha256(f"{seed} {utt}".encode()).digest())[:extra])
    for utt in utterances:
        for number in range(whole + (original(utt) in chosen)):
            yield utt, number


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
        out: folder for the lists, written when needed.
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
    tables: dict[str, dict[str, str]] = {file: {} for file in (*(FILES[name] for name in names), "speech_shape")}
    for index, source in enumerate(sources):
        lists = _read(source.path, tables)
        for utt, number in copies(list(lists["feats.scp"]), source.weight, seed):
            name = f"{index}-{number}-{utt}" if several else utt
            values = {file: table[utt] for file, table in lists.items()}
            for piece, entry in _cut(name, values, longest, source.path):
                for file, value in entry.items():
                    tables[file][piece] = value
    if not tables["feats.scp"]:
        raise UserError(f"nothing is left of {', '.join(str(source.path) for source in sources)}: raise the weights")
    for file, table in tables.items():
        write_table(out / file, dict(sorted(table.items(), key=lambda item: c_order(item[0]))))
    return out


def _read(folder: Path, files: Mapping[str, object]) -> dict[str, dict[str, str]]:
    for file in files:
        if not (folder / file).is_file():
            raise UserError(f"there is no {folder / file}: run stage 1, or dualmode make-fbank")
    lists = {file: read_table(folder / file) for file in files}
    for file, table in lists.items():
        for utt in table.keys() ^ lists["feats.scp"].keys():
            raise UserError(f"{utt} is in only one of {folder}/feats.scp and {folder / file}: make the features anew")
    return lists


def check_lists(folder: Path, names: Sequence[str], bins: int) -> None:
    """Raise UserError unless the lists of a feature folder name the same utterances, with so many bins each.

    ESPnet would meet the first that does not fit somewhere in an epoch.
    """
    files = [*(FILES[name] for name in names), "speech_shape"]
    for file in files:
        if not (folder / file).is_file():
            raise UserError(f"there is no {folder / file}: run stage 1, or dualmode make-fbank")
    count = 0
    for utt, values in joined([iterate_table(folder / file, paths=file == "feats.scp") for file in files]):
        count += 1
        for file, value in zip(files, values, strict=True):
            if value is None:
                raise UserError(
                    f"{folder / file} lacks the utterance {utt}, which is in {folder}: make the features anew"
                )
        shape = values[-1] or ""
        if not re.fullmatch(r"[1-9][0-9]{0,8},[1-9][0-9]{0,8}", shape):
            raise UserError(f"{folder}/speech_shape: {utt} has {shape!r}, expected frames,bins: make the features anew")
        if shape.partition(",")[2] != str(bins):
            raise UserError(
                f"{folder}/speech_shape: {utt} has {shape} frames,bins: the model hears {bins} bins (input_size)"
            )
    if not count:
        raise UserError(f"{folder} lists no utterances: make the features with dualmode make-fbank")


def _cut(
    name: str, values: Mapping[str, str], longest: int | None, folder: Path
) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the id and the values of each piece of an utterance."""
    frames, _, bins = values["speech_shape"].partition(",")
    if longest is None or int(frames) <= longest:
        yield name, values
        return
    if values["feats.scp"].endswith("]"):
        raise UserError(f"{folder}/feats.scp has ranges of rows already, which --max-ms cannot cut again")
    for first, end in pieces(int(frames), longest):
        yield (
            f"{name}-{first:07d}-{end:07d}",
            {"feats.scp": f"{values['feats.scp']}[{first}:{end - 1}]", "speech_shape": f"{end - first},{bins}"},
        )
