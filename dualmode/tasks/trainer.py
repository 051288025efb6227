"""ESPnet's trainer, with progress that people can read and checkpoints that survive a kill."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import torch
from espnet2.train.reporter import SubReporter, aggregate
from espnet2.train.trainer import Trainer

from dualmode.files import atomic_path
from dualmode.progress import Progress
from dualmode.tasks.averaging import averages_with_masks

HISTORY = "history.jsonl"
SHOWN = ("loss", "ter", "wer", "accuracy")


@contextlib.contextmanager
def atomic_checkpoints() -> Iterator[None]:
    """Make torch.save write to a temporary name and rename, while ESPnet's training loop runs.

    A training killed inside torch.save would otherwise leave half a ``checkpoint.pth`` and could not be resumed.
    """
    save = torch.save

    def save_whole(value, path, *args, **kwargs):
        if not isinstance(path, (str, os.PathLike)):
            return save(value, path, *args, **kwargs)
        with atomic_path(path) as temporary:
            save(value, temporary, *args, **kwargs)

    torch.save = save_whole
    try:
        yield
    finally:
        torch.save = save


class _Watched:
    """An iterator of batches that reports the training's progress; its length is the iterator's."""

    def __init__(self, batches, progress: Progress, reporter: SubReporter):
        self.batches, self.progress, self.reporter = batches, progress, reporter

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self):
        for batch in self.batches:
            yield batch
            losses = self.reporter.stats.get("loss")
            self.progress.advance(note=f"loss {aggregate(losses[-20:]):.3f}" if losses else "")


def mean_stats(reporter: SubReporter) -> dict[str, float]:
    """Return the epoch's mean of every value that a model reported, without ESPnet's own book-keeping."""
    hidden = ("_time", "loss_scale", "clip")
    return {key: float(aggregate(values)) for key, values in reporter.stats.items() if not key.endswith(hidden)}


def read_history(folder: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Return ``{"train": {key: [(epoch, value), ...]}, "valid": ...}``; of a repeated epoch the last run counts."""
    latest: dict[tuple[int, str], dict] = {}
    for line in (folder / HISTORY).read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        latest[record["epoch"], record["phase"]] = record["stats"]
    history: dict = {"train": {}, "valid": {}}
    for (epoch, phase), stats in sorted(latest.items()):
        for key, value in stats.items():
            history[phase].setdefault(key, []).append((epoch, value))
    return history


class SupernetTrainer(Trainer):
    """Trainer of both trainings."""

    progress: Progress | None = None

    @classmethod
    def run(cls, *args, **kwargs) -> None:
        cls.progress = None
        with atomic_checkpoints(), averages_with_masks():
            super().run(*args, **kwargs)

    @classmethod
    def train_one_epoch(cls, *, iterator, reporter, options, distributed_option, **kwargs) -> bool:
        epoch, batches = reporter.get_epoch(), len(iterator)
        if cls.progress is None:
            cls.progress = Progress(options.max_epoch * batches, "training", done=(epoch - 1) * batches)
        invalid = super().train_one_epoch(
            iterator=_Watched(iterator, cls.progress, reporter),
            reporter=reporter,
            options=options,
            distributed_option=distributed_option,
            **kwargs,
        )
        cls._record("train", reporter, options, distributed_option)
        return invalid

    @classmethod
    def validate_one_epoch(cls, *, reporter, options, distributed_option, **kwargs) -> None:
        super().validate_one_epoch(reporter=reporter, options=options, distributed_option=distributed_option, **kwargs)
        cls._record("valid", reporter, options, distributed_option)

    @staticmethod
    def _record(phase: str, reporter: SubReporter, options, distributed_option) -> None:
        """Append the epoch's means to history.jsonl and print them, on the first rank."""
        if distributed_option.distributed and distributed_option.dist_rank != 0:
            return
        stats = mean_stats(reporter)
        record = {"epoch": reporter.get_epoch(), "phase": phase, "stats": stats}
        with open(Path(options.output_dir) / HISTORY, "a", encoding="utf-8") as out:
            out.write(json.dumps(record) + "\n")
        shown = ", ".join(f"{key} {value:.3f}" for key, value in stats.items() if key.startswith(SHOWN))
        print(f"epoch {reporter.get_epoch()}/{options.max_epoch} {phase}: {shown}", flush=True)
