"""Batches of a set of any size, drawn from one window of its shards after the other.

A window is as many shards, drawn at random, as some hours of audio for each process; its utterances go into batches of
about equal length, its batches come in random order, and then comes the next window::

    shards on disk     0 1 2 3 4 5 6 7 8 9 ...
    in random order    7 2 9 4 | 0 5 8 1 | ...         a pass sees each once
    a window           7 2 . 9 4                       cut in equal parts of audio: a process reads its own shards only
                       rank 0  rank 1
    sorted by length   batches of at most `bins` frames, as many for each process
    in random order    0 3 1 2 ...                     the same order for all: they get batches of like length

All follows from seed, pass and window: to go on at any batch nothing has to be listed that lies before.  Per utterance
4 bytes are in memory.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dualmode.errors import UserError

RUN = 200  # utterances of a shard at most: archives of others may hold a whole set


def runs(archives: np.ndarray) -> np.ndarray:
    """Return the borders (shards + 1,) of runs of at most RUN utterances of one archive.

    >>> runs(np.array([0] * 401 + [1])).tolist()
    [0, 200, 400, 401, 402]
    """
    rows = np.arange(len(archives))
    begins = np.ones(len(archives), bool)
    begins[1:] = archives[1:] != archives[:-1]
    since = rows - np.maximum.accumulate(np.where(begins, rows, 0))
    return np.append(np.flatnonzero(since % RUN == 0), len(archives))


@dataclass(frozen=True)
class Part:
    """What one process reads of a window: ``rows`` in the order of the disk, and its batches, arrays of rows."""

    rows: np.ndarray
    batches: list[np.ndarray]


class Windows:
    """Batches for all processes.

    Args:
        frames: (utterances,) of each, in the order in which they lie on disk.
        borders: (shards + 1,), see :func:`runs`.
        window: frames of audio that a process shuffles at a time.
        bins: frames of a batch with its padding, for one process; a longer utterance is a batch of its own.
        ranks: processes.
        seed: of all draws.
    """

    def __init__(self, frames: np.ndarray, borders: np.ndarray, window: int, bins: int, ranks: int = 1, seed: int = 0):
        self.frames, self.borders, self.bins, self.ranks, self.seed = frames, borders, bins, ranks, seed
        total = np.concatenate([[0], np.cumsum(frames, dtype=np.int64)])
        self._audio = np.diff(total[borders])  # of each shard
        self._window = window * ranks
        self._counts: dict[int, np.ndarray] = {}

    def shards(self, turn: int) -> list[np.ndarray]:
        """Return the shards of each window of a pass; what is left at the end joins the last window."""
        order = np.random.default_rng([self.seed, turn]).permutation(len(self._audio))
        heard = np.cumsum(self._audio[order])
        count = max(1, int(heard[-1] // self._window))
        ends = np.searchsorted(heard, self._window * np.arange(1, count), side="left") + 1
        return np.split(order, np.unique(ends[ends < len(order)]))

    def parts(self, turn: int, number: int, shards: np.ndarray) -> list[Part]:
        """Return the part of each process of window ``number`` of a pass.

        Raises:
            UserError: a process gets too few utterances for as many batches as the others.
        """
        random = np.random.default_rng([self.seed, turn, number])
        rows = np.concatenate([np.arange(self.borders[shard], self.borders[shard + 1]) for shard in shards])
        heard = np.cumsum(self.frames[rows], dtype=np.int64)
        ends = np.searchsorted(heard, heard[-1] * np.arange(1, self.ranks) / self.ranks)
        shares = np.split(rows, ends)
        cuts = []
        for share in shares:
            share = random.permutation(share)
            share = share[np.argsort(self.frames[share], kind="stable")]
            cuts.append([share[first:end] for first, end in cut(self.frames[share].tolist(), self.bins)])
        count = max(map(len, cuts))
        order = random.permutation(count)
        return [
            Part(np.sort(share), [batches[place] for place in order])
            for share, batches in zip(shares, (halved(batches, count) for batches in cuts), strict=True)
        ]

    def counts(self, turn: int) -> np.ndarray:
        """Return the batches (windows,) of each window of a pass, the same for every process."""
        if turn not in self._counts:
            windows = enumerate(self.shards(turn))
            self._counts[turn] = np.array([len(self.parts(turn, *window)[0].batches) for window in windows])
        return self._counts[turn]

    def parts_from(self, batch: int, rank: int) -> Iterator[Part]:
        """Yield the parts of process ``rank`` for ever, from the ``batch``-th of all batches (from 0) on."""
        turn = 0
        while batch >= (batches := int(self.counts(turn).sum())):
            batch, turn = batch - batches, turn + 1
        ends = np.cumsum(self.counts(turn))
        first = int(np.searchsorted(ends, batch, side="right"))
        done = batch - int(ends[first - 1] if first else 0)
        while True:
            for number, shards in enumerate(self.shards(turn)):
                if number >= first:
                    part = self.parts(turn, number, shards)[rank]
                    yield Part(part.rows, part.batches[done:])
                    done = 0
            turn, first = turn + 1, 0


def cut(lengths: list[int], bins: int) -> list[tuple[int, int]]:
    """Return the (first, end) of the batches into which ascending ``lengths`` are cut, as long as ``bins`` allows.

    >>> cut([1, 2, 2, 3, 9], 6)
    [(0, 3), (3, 4), (4, 5)]
    """
    batches, first = [], 0
    while first < len(lengths):
        highest = min(len(lengths), first + bins // max(lengths[first], 1) + 1)
        sizes = range(first + 2, highest + 1)  # one utterance always fits
        end = first + 1 + bisect_right(sizes, bins, key=lambda end: (end - first) * lengths[end - 1])  # noqa: B023
        batches.append((first, end))
        first = end
    return batches


def halved(batches: list[np.ndarray], count: int) -> list[np.ndarray]:
    """Return ``count`` batches: the largest ones are halved until there are as many.

    Raises:
        UserError: there are fewer utterances than that.
    """
    batches = list(batches)
    if sum(map(len, batches)) < count:
        raise UserError(
            f"a window of the training set has {sum(map(len, batches))} utterances for one process and {count} batches "
            "for another: raise window_h or batch_bins, or train with fewer processes"
        )
    while len(batches) < count:
        place = max(range(len(batches)), key=lambda place: (len(batches[place]), place))
        middle = (len(batches[place]) + 1) // 2
        batches[place : place + 1] = [batches[place][:middle], batches[place][middle:]]
    return batches
