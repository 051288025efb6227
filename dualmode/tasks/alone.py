"""One training a folder: a second one would write its checkpoints over those of the first."""

import argparse
import contextlib
import errno
import fcntl
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from espnet2.train.distributed_utils import get_rank

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
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                file.seek(0)
                raise UserError(
                    f"another training is at work in {folder} (process {file.read().strip()}): wait for it, stop it, "
                    f"or train into another folder; if that machine has failed, remove {folder / LOCK}"
                ) from None
            print(f"warning: {folder} is on a disk without locks: let no second training run in it", flush=True)
        file.truncate(0)
        print(f"{os.getpid()} on {platform.node()}", file=file, flush=True)
        yield
