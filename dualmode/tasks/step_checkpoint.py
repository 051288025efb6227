"""Checkpoints in the middle of an epoch, from which a training goes on bit by bit as if nothing had happened.

ESPnet's own ``checkpoint.pth`` is written after an epoch and seeds all random generators anew at the next one, so it is
exact already.  ``checkpoint_step.pth`` adds what an unfinished epoch needs::

    checkpoint.pth       epochs 1..e, after validation
    checkpoint_step.pth  epoch e+1 up to batch n: weights, masks and their step, optimizer, scheduler, random states,
                         means of the epoch so far
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from espnet2.train.reporter import Average, SubReporter, WeightedAverage
from torch.utils.data import DataLoader

from dualmode.encoder.two_branch import TwoBranchModel
from dualmode.errors import UserError
from dualmode.models.weights import STEP_STATE, load_weights, save_checkpoint
from dualmode.tasks.windowed import WindowedBatches


def random_states() -> dict:
    """Return the states of Python's, numpy's and torch's generators, as what weights_only can read."""
    _, numbers, *position = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (torch.from_numpy(np.asarray(numbers).astype(np.int64)), *position),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def set_random_states(states: dict) -> None:
    """Put the generators back to what :func:`random_states` returned."""
    random.setstate(states["python"])
    numbers, *position = states["numpy"]
    np.random.set_state(("MT19937", numbers.numpy().astype(np.uint32), *position))
    torch.set_rng_state(states["torch"])
    if states["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


@dataclass(frozen=True)
class Running:
    """The parts of a training that change from batch to batch."""

    model: TwoBranchModel
    optimizers: Sequence[torch.optim.Optimizer]
    schedulers: Sequence
    scaler: torch.amp.GradScaler | None
    reporter: SubReporter

    def state(self) -> dict:
        return {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "schedulers": [scheduler.state_dict() if scheduler else None for scheduler in self.schedulers],
            "scaler": self.scaler.state_dict() if self.scaler else None,
            "reporter": reporter_state(self.reporter),
        }

    def restore(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        for scheduler, saved in zip(self.schedulers, state["schedulers"], strict=True):
            if scheduler is not None:
                scheduler.load_state_dict(saved)
        if self.scaler is not None and state["scaler"]:  # use_amp may be new
            self.scaler.load_state_dict(state["scaler"])
        restore_reporter(self.reporter, state["reporter"])


def reporter_state(reporter: SubReporter) -> dict:
    """Return what an epoch's reporter has seen: each value with its weight, or without one."""
    values = {
        key: [(float(one.value), float(one.weight) if isinstance(one, WeightedAverage) else None) for one in seen]
        for key, seen in reporter.stats.items()
    }
    return {"values": values, "count": reporter.count, "total_count": reporter.total_count}


def restore_reporter(reporter: SubReporter, state: dict) -> None:
    reporter.count, reporter.total_count = state["count"], state["total_count"]
    for key, seen in state["values"].items():
        reporter.stats[key] = [
            Average(value) if weight is None else WeightedAverage(value, weight) for value, weight in seen
        ]


def save(
    folder: Path, running: Running, batches: int, total: int, rank: int, ranks: int, now: dict | None = None
) -> None:
    """Write the checkpoint after ``batches`` of an epoch's ``total``; all ranks call this, rank 0 writes.

    ``now`` are the random states of this process at that time, where it is over.
    """
    now = now or random_states()
    states = [now]
    if ranks > 1:
        states = [None] * ranks
        torch.distributed.all_gather_object(states, now)
    if rank == 0:
        place = {"epoch": running.reporter.get_epoch(), "batches": batches, "total": total, "random": states}
        save_checkpoint({**place, **running.state()}, folder / STEP_STATE)


def load(folder: Path, epoch: int, total: int, ranks: int, accum_grad: int) -> dict | None:
    """Return the checkpoint of this ``epoch``, or None: one of another epoch is out of date, and the next replaces it.

    Raises:
        UserError: the file cannot be read, was written by another number of processes or with other data, or in the
            middle of what is now an update, of ``accum_grad`` batches.
    """
    path = folder / STEP_STATE
    if not path.is_file():
        return None
    state = load_weights(path)
    if state["epoch"] != epoch:
        return None  # it stays until the next epoch, since other processes may be reading it
    for what, written, now in (
        ("processes", len(state["random"]), ranks),
        ("batches an epoch", state["total"], total),
    ):
        if written != now:
            raise UserError(
                f"{path} was written with {written} {what}, but there are {now} now: use the same options and data, "
                "or remove the file to go on from the last finished epoch"
            )
    if state["batches"] % accum_grad:
        raise UserError(
            f"{path} was written after {state['batches']} batches of an epoch, which are no whole updates of "
            f"{accum_grad} (accum_grad) now: use the same accum_grad, or remove the file to go on from the last "
            "finished epoch"
        )
    return state


def rest_of(batches: DataLoader, done: int, states: dict | None = None) -> Iterator:
    """Return the batches of an epoch after the first ``done``, which are not read.

    The random generators are set to ``states`` once the loader, which draws from them, has started.
    """
    if done:
        sampler = batches.batch_sampler
        batches = DataLoader(
            dataset=batches.dataset,
            batch_sampler=sampler.after(done) if isinstance(sampler, WindowedBatches) else list(sampler)[done:],
            num_workers=batches.num_workers,
            pin_memory=batches.pin_memory,
            worker_init_fn=batches.worker_init_fn,
            collate_fn=batches.collate_fn,
        )
    rest = iter(batches)
    if states is not None:
        set_random_states(states)
    return rest
