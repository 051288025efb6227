"""The lists of a feature folder of dualmode make-fbank, read side by side, a line at a time."""

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from dualmode.errors import UserError
from dualmode_runtime.tables import c_order, iterate_table

FILES = {"speech": "feats.scp", "text": "text"}  # of what ESPnet calls it
SHAPES = "speech_shape"
SHAPE = re.compile(r"[1-9][0-9]{0,8},[1-9][0-9]{0,8}")  # frames,bins
Row = tuple[str, ...]  # values of an utterance, in the order of the lists


def lists_of(folder: Path, files: Sequence[str]) -> list[Path]:
    """Return the paths of ``files`` in a feature folder, or raise UserError."""
    for file in files:
        if not (folder / file).is_file():
            raise UserError(f"there is no {folder / file}: run stage 1, or dualmode make-fbank")
    return [folder / file for file in files]


def read_lists(folder: Path, names: Sequence[str]) -> Iterator[tuple[str, Row]]:
    """Yield each utterance with its values in the lists of ``names`` ("speech", "text"), and its shape as the last one.

    Raises:
        UserError: a list is missing or damaged, one lacks an utterance of another, or a shape is not frames,bins.
    """
    paths = lists_of(folder, [*(FILES[name] for name in names), SHAPES])
    for rows in zip_longest(*(iterate_table(path, paths=path.name == "feats.scp") for path in paths)):
        keys = [row and row[0] for row in rows]
        if len(set(keys)) > 1:
            utterance = min((key for key in keys if key), key=c_order)
            lacks, has = (paths[keys.index(key)] for key in (next(k for k in keys if k != utterance), utterance))
            raise UserError(f"{lacks} lacks the utterance {utterance}, which is in {has}: make the features anew")
        if not SHAPE.fullmatch(rows[-1][1]):
            raise UserError(f"{paths[-1]}: {keys[0]} has {rows[-1][1]!r}, expected frames,bins: make the features anew")
        yield keys[0], tuple(row[1] for row in rows)


def check_lists(folder: Path, names: Sequence[str], bins: int) -> None:
    """Raise UserError unless the lists of a feature folder go together, with so many bins each utterance.

    ESPnet would meet the first that does not fit somewhere in an epoch.
    """
    utterance = None
    for utterance, (*_, shape) in read_lists(folder, names):
        if shape.partition(",")[2] != str(bins):
            raise UserError(
                f"{folder / SHAPES}: {utterance} has {shape} frames,bins: the model hears {bins} bins (input_size)"
            )
    if utterance is None:
        raise UserError(f"{folder} lists no utterances: make the features with dualmode make-fbank")
