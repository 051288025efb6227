"""ESPnet's loader over an index of features instead of lists in memory; for sets of millions of utterances.

``window_h`` in the YAML asks for it.  See :mod:`dualmode.data.windows` for the batches that come out, and
:mod:`dualmode.data.feature_index` for what is on disk.
"""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from espnet2.iterators.abs_iter_factory import AbsIterFactory
from espnet2.iterators.sequence_iter_factory import worker_init_fn
from torch.utils.data import DataLoader, Dataset

from dualmode.data.feature_index import FeatureIndex, open_index
from dualmode.data.windows import Part, Windows, runs
from dualmode.errors import UserError
from dualmode.tasks.batch_size import FRAMES_PER_HOUR


class IndexedDataset(Dataset):
    """Utterances by their number in an index, as ESPnet's own data set gives them by their ids."""

    def __init__(self, index: FeatureIndex, preprocess: Callable[[str, dict], dict] | None):
        self.index, self.preprocess = index, preprocess

    def __getitem__(self, row: int) -> tuple[str, dict[str, np.ndarray]]:
        utterance, speech = self.index.features(row)
        data: dict[str, Any] = {"speech": speech}
        if self.index.text is not None:
            data["text"] = self.index.transcript(row, utterance)
        return utterance, self.preprocess(utterance, data) if self.preprocess else data


class WindowedBatches:
    """The batches of an epoch for one process, each a list of utterances' numbers.

    While the batches of a window are handed out, the system reads the archives of the next one.

    Args:
        windows, index: of the training set.
        first: number of the first batch of all, from 0.
        count: batches.
        rank: of the process.
    """

    def __init__(self, windows: Windows, index: FeatureIndex, first: int, count: int, rank: int):
        self.windows, self.index, self.first, self.count, self.rank = windows, index, first, count, rank

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[list[int]]:
        parts, left = self.windows.parts_from(self.first, self.rank), self.count
        following = self._read_ahead(next(parts))
        while left > 0:
            part, following = following, self._read_ahead(next(parts))
            for batch in part.batches[:left]:
                yield batch.tolist()
            left -= len(part.batches)

    def listed(self) -> Iterator[list[int]]:
        """Yield the same batches for somebody who reads none of them."""
        parts = self.windows.parts_from(self.first, self.rank)
        batches = (batch.tolist() for part in parts for batch in part.batches)
        return islice(batches, self.count)

    def after(self, done: int) -> "WindowedBatches":
        """Return the batches after the first ``done``, which are not listed."""
        return WindowedBatches(self.windows, self.index, self.first + done, self.count - done, self.rank)

    def _read_ahead(self, part: Part) -> Part:
        # In a thread of its own, since the system may have a long queue; it holds no lock of Python's.
        threading.Thread(target=self.index.read_ahead, args=(part.rows,), daemon=True).start()
        return part


class WindowedIterFactory(AbsIterFactory):
    """Makes the loader of each epoch; epoch e has the batches from (e - 1) * ``count`` on.

    Args:
        dataset: the training set.
        windows: its batches.
        count: batches an epoch; None is a pass over the set.
        rank: of the process.
        loader: other options of the loader.
    """

    def __init__(self, dataset: IndexedDataset, windows: Windows, count: int | None, rank: int, **loader):
        self.dataset, self.windows, self.count, self.rank, self.loader = dataset, windows, count, rank, loader

    def build_iter(self, epoch: int, shuffle: bool | None = None) -> DataLoader:
        if self.count is None:
            counts = [int(self.windows.counts(turn).sum()) for turn in range(epoch)]
            first, count = sum(counts[:-1]), counts[-1]
        else:
            first, count = (epoch - 1) * self.count, self.count
        return DataLoader(
            self.dataset,
            batch_sampler=WindowedBatches(self.windows, self.dataset.index, first, count, self.rank),
            worker_init_fn=partial(worker_init_fn, base_seed=epoch + self.windows.seed),
            **self.loader,
        )


def make_factory(args, options, folder: Path) -> WindowedIterFactory:
    """Return the loaders of a training whose YAML has ``window_h``.

    Args:
        args: of the training.
        options: ESPnet's IteratorOptions of the training set.
        folder: for the index, shared by all processes; the first of them makes it.

    Raises:
        UserError: another setting does not go with it, or a list is damaged.
    """
    if options.batch_type != "length":
        raise UserError(f"window_h needs batch_type length, not {options.batch_type}")
    rank, ranks = 0, 1
    if options.distributed:
        rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
    lists = {name: Path(path) for path, name, _ in options.data_path_and_name_and_type}
    where = folder, lists["speech"], Path(options.shape_files[0]), lists.get("text")
    if rank == 0:
        open_index(*where)
    if ranks > 1:
        torch.distributed.barrier()
    index = open_index(*where)
    frames = np.ascontiguousarray(index.entries["frames"])
    window, bins = round(args.window_h * FRAMES_PER_HOUR), options.batch_bins // ranks
    windows = Windows(frames, runs(index.entries["archive"]), window, bins, ranks, args.seed)
    return WindowedIterFactory(
        IndexedDataset(index, options.preprocess_fn),
        windows,
        options.num_iters_per_epoch,
        rank,
        num_workers=args.num_workers,
        collate_fn=options.collate_fn,
        pin_memory=args.ngpu > 0,
    )
