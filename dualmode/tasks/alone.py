"""One training a folder: a second one would write its checkpoints over those of the first."""

import argparse
import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from espnet2.train.distributed_utils import get_rank

from dualmode.data.folder import take_lock
from dualmode.errors import UserError

LOCK = ".lock"


def is_first(args: argparse.Namespace) -> bool:
    """Return whether this is the process of a training that writes; under srun, Slurm alone knows before it begins."""
    return not args.distributed or not get_rank(args.dist_rank, args.dist_launcher)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes from training into ``folder``; it is free again when this one ends, in whatever way.

    Of a training's processes only the one that writes checkpoints calls this.  The lock is fcntl's, which readers of
    data do not inherit: those of a process that was killed live on for seconds.

    Raises:
        UserError: another process trains into it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK, "a+", encoding="utf-8") as file:
        if not _take(file, folder):
            print(f"warning: {folder} is on a disk without locks: let no second training run in it", flush=True)
        file.truncate(0)
        print(f"{os.getpid()} on {platform.node()}", file=file, flush=True)
        yield


def check_alone(args: argparse.Namespace, folder: Path) -> None:
    """Refuse a second training before it replaces what the first one reads: tokens, pooled lists.

    Args:
        args: settings of the training, before ESPnet has completed them.
        folder: of the training.

    Raises:
        UserError: another process trains into it.
    """
    first = not get_rank(args.dist_rank, args.dist_launcher)  # the others may come when the first is at work
    if first and (folder / LOCK).is_file():
        with open(folder / LOCK, "a+", encoding="utf-8") as file:
            _take(file, folder)


def _take(file: TextIO, folder: Path) -> bool:
    """Take the lock, until ``file`` is closed; return whether the disk has locks."""
    try:
        return take_lock(file)
    except BlockingIOError:
        file.seek(0)
        raise UserError(
            f"another training is at work in {folder} (process {file.read().strip()}): wait for it, stop it, or "
            f"train into another folder; if that machine has failed, remove {folder / LOCK}"
        ) from None
