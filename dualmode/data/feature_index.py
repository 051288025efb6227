"""Where each utterance of a feature folder is, as an array on disk: for sets whose lists no process could hold.

Ten million lines of feats.scp are gigabytes of Python strings, in each process of a training anew.  Here an utterance
is 32 bytes, mapped into memory once for all processes of a machine, and its lines are read when they are needed::

    entries.npy    (utterances,) of ENTRY, in the order in which the matrices lie on disk
    index.json     the archives' names, and which lists it was made from
"""

import json
import os
from array import array
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from itertools import zip_longest
from pathlib import Path

import numpy as np

from dualmode.data.fbank import BINS
from dualmode.data.features import command_refused, is_command, load_matrix, split_target
from dualmode.errors import UserError
from dualmode_runtime.files import atomic_path, write_json

# Bytes at which the utterance's lines of feats.scp and text begin; its archive, by number, and byte in it; frames.
ENTRY = np.dtype([("scp", "<u8"), ("text", "<u8"), ("offset", "<u8"), ("archive", "<u4"), ("frames", "<u4")])
BYTES = 4 * BINS  # of a frame, at most
NAME = "index.json"
END = (0, "no more", "")  # what a list that is too short goes on with


class FeatureIndex:
    """Utterances by number, in the order of the archives; reading one reads nothing else.

    Args:
        folder: where :func:`build_index` wrote it.
        scp: feats.scp.
        text: transcripts; None for unlabelled speech.

    Attributes:
        entries: (utterances,) of ENTRY, mapped into memory.
    """

    def __init__(self, folder: Path, scp: Path, text: Path | None = None):
        self.scp, self.text = scp, text
        self.archives = json.loads((folder / NAME).read_text(encoding="utf-8"))["archives"]
        self.entries = np.load(folder / "entries.npy", mmap_mode="r", allow_pickle=False)

    def __len__(self) -> int:
        return len(self.entries)

    def features(self, row: int) -> tuple[str, np.ndarray]:
        """Return the id of an utterance and its features (frames of 10 ms, bins); a fault in them is a UserError."""
        utterance, _, target = line_at(self._scp_file, self.entries["scp"][row]).partition(" ")
        return utterance, load_matrix(target.strip(" \t"), f"{self.scp}: the features of the utterance {utterance}")

    def transcript(self, row: int, utterance: str) -> str:
        """Return the transcript of ``utterance``, whose features are those of ``row``.

        Raises:
            UserError: there is another one at that place: the lists were replaced while they were read.
        """
        found, _, words = line_at(self._text_file, self.entries["text"][row]).partition(" ")
        if found != utterance:
            raise UserError(
                f"{self.text} has {found!r} where {self.scp} has {utterance}: they changed while they were read; start "
                "the training again"
            )
        return words.strip(" \t")

    def read_ahead(self, rows: np.ndarray) -> None:
        """Ask the system to read the archives of ``rows`` (n,), ascending, one after the other, into its own memory.

        So that reading them in any order afterwards waits for no disk; where memory is short it waits again.
        """
        gaps = (np.diff(self.entries["archive"][rows]) != 0) | (np.diff(rows) != 1)
        for first, end in pairs(np.flatnonzero(gaps) + 1, len(rows)):
            begin, last = self.entries[rows[first]], self.entries[rows[end - 1]]
            size = int(last["offset"]) - int(begin["offset"]) + BYTES * int(last["frames"])
            # What is wrong with a file, reading will say.
            with suppress(OSError), open(self.archives[begin["archive"]], "rb") as file:
                os.posix_fadvise(file.fileno(), int(begin["offset"]), size, os.POSIX_FADV_WILLNEED)

    # Read by position only, so that processes that were forked from one another may share them.
    @cached_property
    def _scp_file(self) -> int:
        return os.open(self.scp, os.O_RDONLY)

    @cached_property
    def _text_file(self) -> int:
        assert self.text is not None
        return os.open(self.text, os.O_RDONLY)


def pairs(borders: np.ndarray, count: int) -> list[tuple[int, int]]:
    """Return the (first, end) of the parts into which ``borders`` (n,) cut ``count`` things.

    >>> pairs(np.array([2, 3]), 5)
    [(0, 2), (2, 3), (3, 5)]
    """
    ends = [0, *borders.tolist(), count]
    return list(zip(ends, ends[1:], strict=False))


def line_at(file: int, position: int) -> str:
    """Return the line that begins at a byte of an open file, without its end."""
    data, size = b"", 512
    while b"\n" not in data:
        more = os.pread(file, size, int(position) + len(data))
        if not more:
            break
        data, size = data + more, 8 * size
    return data.partition(b"\n")[0].decode("utf-8", "surrogateescape")


def open_index(folder: Path, scp: Path, shape: Path, text: Path | None = None) -> FeatureIndex:
    """Return the index in ``folder``, made anew unless it is of these lists as they are.

    Args:
        folder: of the index.
        scp, shape: feats.scp and speech_shape of a feature folder.
        text: its transcripts, if they are wanted.

    Raises:
        UserError: a list is missing or damaged, or they differ in their utterances or in the order of these.
    """
    lists = [path for path in (scp, shape, text) if path is not None]
    if not is_of(folder, lists):
        print(f"{scp}: making an index of it, once, in {folder}", flush=True)
        build_index(folder, scp, shape, text)
    return FeatureIndex(folder, scp, text)


def lines(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield (byte at which it begins, id, the rest) of each line."""
    position = 0
    with open(path, "rb") as file:
        for line in file:
            utterance, _, rest = line.decode("utf-8", "surrogateescape").partition(" ")
            yield position, utterance.rstrip("\n"), rest.strip(" \t\n")
            position += len(line)


def stamps(lists: list[Path]) -> list:
    """Return path, size in bytes and time of change in ns of each list: what tells a list from another."""
    return [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in lists]


def is_of(folder: Path, lists: list[Path]) -> bool:
    """Return whether ``folder`` has the index of ``lists`` as they are now."""
    try:
        about = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return about["lists"] == stamps(lists) and (folder / "entries.npy").is_file()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def build_index(folder: Path, scp: Path, shape: Path, text: Path | None) -> None:
    """Write the index; see :func:`open_index`.  Takes 32 bytes of memory an utterance, twice."""
    for path in (scp, shape, *([text] if text else [])):
        if not path.is_file():
            raise UserError(f"there is no {path}: run stage 1, or dualmode make-fbank")
    made_from = stamps([path for path in (scp, shape, text) if path is not None])
    # The loop runs once a line of the largest sets that there are: what it needs has names of its own.
    columns = array("Q"), array("Q"), array("Q"), array("I"), array("I")
    add_scp, add_text, add_offset, add_archive, add_frames = (column.append for column in columns)
    archives: dict[str, int] = {}
    texts = lines(text) if text else None
    last = ""
    for (position, utt, target), (_, utt_of_shape, dimensions) in zip_longest(lines(scp), lines(shape), fillvalue=END):
        if utt != utt_of_shape:
            raise UserError(f"{scp} has {utt} where {shape} has {utt_of_shape}: make the features anew")
        if utt <= last:
            raise UserError(f"{scp}: {utt} does not come after {last}: sort the list with LC_ALL=C sort -u")
        if texts is not None:
            begin, utt_of_text, _ = next(texts, END)
            if utt != utt_of_text:
                raise UserError(f"{scp} has {utt} where {text} has {utt_of_text}: make the features anew")
            add_text(begin)
        else:
            add_text(0)
        try:
            add_frames(int(dimensions.partition(",")[0]))
        except (ValueError, OverflowError):
            raise UserError(f"{shape}: {utt} has {dimensions!r}: expected FRAMES,BINS") from None
        if is_command(target):
            raise command_refused(str(scp), utt)
        archive, offset, _ = split_target(target)
        add_scp(position)
        add_offset(offset)
        add_archive(archives.setdefault(archive, len(archives)))
        last = utt
    if not last:
        raise UserError(f"{scp} is empty: make the features with make_fbank")
    if texts is not None and (more := next(texts, END)) is not END:
        raise UserError(f"{text} has {more[1]}, which {scp} lacks: make the features anew")
    entries = np.empty(len(columns[0]), ENTRY)
    for key, column in zip(ENTRY.names, columns, strict=True):
        entries[key] = np.frombuffer(column, column.typecode)
    entries = entries[np.lexsort((entries["offset"], entries["archive"]))]
    with atomic_path(folder / "entries.npy") as tmp, open(tmp, "wb") as file:
        np.save(file, entries, allow_pickle=False)
    write_json(folder / NAME, {"lists": made_from, "archives": list(archives)})
