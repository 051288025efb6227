"""The one door to ``feats.scp`` and the archives that it names, for decoding, statistics and training alike.

    anna-01 dump/train/shards/00007.ark:1834        a file, and the byte at which a Kaldi matrix stands in it
    anna-02 dump/train/shards/00007.ark:9[0:149]    its first 150 rows

kaldiio would also run commands (``... |``), unpickle what an archive calls a pickle, and read audio.  Features come
from others, too, and data must never start a program: here a line is a file and an offset, and what stands there has to
begin as a binary Kaldi matrix does, before kaldiio decodes it.
"""

import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from dualmode.errors import UserError
from dualmode.lines import check_blanks

MATRIX = b"\0B"  # how a binary Kaldi matrix begins
REMEDY = "make them anew with make_fbank"


class FeatureTable(Mapping[str, np.ndarray]):
    """Features (frames of 10 ms, bins) in float32 of each utterance of a feats.scp, read when asked for.

    Args:
        scp: the list.

    Raises:
        UserError: the list is missing, empty or damaged, or a line names a command; reading an utterance whose features
            are missing, damaged, no matrix or not finite, by its name.
    """

    def __init__(self, scp: str | os.PathLike):
        self.scp = Path(scp)
        self._targets = dict(_lines(self.scp))

    def __getitem__(self, utterance: str) -> np.ndarray:
        return load_matrix(self._targets[utterance], f"{self.scp}: the features of the utterance {utterance}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)

    def target(self, utterance: str) -> str:
        """Return where the features of an utterance stand: FILE:OFFSET, or FILE:OFFSET[ROWS]."""
        return self._targets[utterance]


def _lines(scp: Path) -> Iterator[tuple[str, str]]:
    """Yield (utterance, target) of each line."""
    if not scp.is_file():
        raise UserError(f"there is no file {scp}: make the features with make_fbank")
    seen = set()
    with open(scp, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            utterance, _, target = line.rstrip("\n").partition(" ")
            target = target.strip(" \t")
            if not utterance or not target:
                raise UserError(f"{scp}:{number}: expected an utterance and its features, FILE:OFFSET; {REMEDY}")
            if is_command(target):
                raise command_refused(f"{scp}:{number}", utterance)
            if utterance in seen:
                raise UserError(f"{scp}:{number}: the utterance {utterance} comes twice; {REMEDY}")
            check_blanks(utterance, f"{scp}:{number}")
            if any("\ud800" <= sign <= "\udfff" for sign in utterance):
                raise UserError(f"{scp}:{number}: the id {utterance!a} is not UTF-8; {REMEDY}")
            seen.add(utterance)
            yield utterance, target
    if not seen:
        raise UserError(f"{scp} is empty: make the features with make_fbank")


def is_command(target: str) -> bool:
    return target.startswith("|") or target.endswith("|")


def command_refused(where: str, utterance: str) -> UserError:
    return UserError(f"{where}: {utterance} is a command: data must never start a program; expected FILE:OFFSET")


def split_target(target: str) -> tuple[str, int, slice | None]:
    """Return file, byte and range of rows of a target; rows are counted as Kaldi does, the last one is of the range.

    >>> split_target("a.ark:8[0:149]"), split_target("a.ark")
    (('a.ark', 8, slice(0, 150, None)), ('a.ark', 0, None))
    """
    rows = None
    if target.endswith("]"):
        target, _, numbers = target[:-1].rpartition("[")
        first, _, last = numbers.partition(":")
        if first.isdecimal() and last.isdecimal():
            rows = slice(int(first), int(last) + 1)
    path, _, offset = target.rpartition(":")
    return (path, int(offset), rows) if offset.isdecimal() else (target, 0, rows)


def load_matrix(target: str, what: str) -> np.ndarray:
    """Read the matrix (frames, bins) that FILE:OFFSET[ROWS] names; ``what`` begins the sentence of an error."""
    path, offset, rows = split_target(target)
    from kaldiio.matio import read_matrix_or_vector  # takes a moment to import

    try:
        with open(path, "rb") as file:
            file.seek(offset)
            if file.read(len(MATRIX)) != MATRIX:
                raise UserError(f"{what} cannot be read: at {target} stands no binary Kaldi matrix; {REMEDY}")
            file.seek(offset)
            matrix = read_matrix_or_vector(file)
    except (OSError, ValueError, AssertionError, EOFError, OverflowError, MemoryError, struct.error) as error:
        raise UserError(f"{what} cannot be read from {target} ({error or 'damaged'}); {REMEDY}") from None
    if rows is not None and matrix.ndim == 2:
        if rows.stop > len(matrix):
            raise UserError(f"{what} are said to have {rows.stop} frames at least, and have {len(matrix)}; {REMEDY}")
        matrix = matrix[rows]
    if matrix.ndim != 2 or not matrix.size:
        raise UserError(f"{what} are no matrix of frames and bins but of shape {matrix.shape}; {REMEDY}")
    if not np.isfinite(matrix).all():
        raise UserError(f"{what} hold NaN or infinite values; {REMEDY}")
    return np.asarray(matrix, dtype=np.float32)
