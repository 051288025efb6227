"""A command that shares its work among the tasks of an array, each of which is the same command with --part I/N."""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dualmode.cluster.command import split_wrapper
from dualmode.errors import UserError

JOBS = 8
NOT_A_TASKS = ("--cmd", "--nj", "--log", "--jobs")  # processes of a machine that a task does not have to itself
TASK = "DUALMODE_TASK"  # what wrappers replace by a task's number, wherever it stands: no path has it in it


@dataclass(frozen=True)
class Part:
    """One of ``count`` shares of the work; ``index`` counts from 1."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Part":
        """Read ``INDEX/COUNT``.

        >>> Part.parse("2/8")
        Part(index=2, count=8)

        Raises:
            UserError: it is no such thing.
        """
        index, _, count = text.partition("/")
        if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
            raise UserError(f"--part {text}: expected INDEX/COUNT such as 2/8, INDEX from 1 to COUNT")
        return cls(int(index), int(count))

    def of(self, items: Sequence) -> Sequence:
        """Return this share of ``items``: every ``count``-th of them.

        >>> Part(2, 3).of("abcdefg")
        'be'
        """
        return items[self.index - 1 :: self.count]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --cmd, --nj and --log, which share the work among jobs."""
    parser.add_argument(
        "--cmd",
        metavar="WORDS",
        help="run as an array of jobs: a wrapper with its options, such as 'tools/cluster/slurm.pl --mem 4G'",
    )
    parser.add_argument("--nj", type=int, metavar="N", help=f"of --cmd: jobs (default: {JOBS})")
    parser.add_argument(
        "--log", type=Path, metavar="DIR", help="of --cmd: folder of the logs (default: beside the output)"
    )


def check_options(args: argparse.Namespace) -> None:
    """Raise UserError for --nj or --log without the --cmd that they are of."""
    for name in ("nj", "log"):
        if getattr(args, name) is not None and not args.cmd:
            raise UserError(f"--{name} is of --cmd, which is not given: without it there are no jobs")


def run_parts(args: argparse.Namespace, module: str, arguments: Sequence[str], most: int | None = None) -> int:
    """Run ``python -m module arguments --part I/N`` for every I as the array that ``args`` asks for, and wait.

    Args:
        args: has what :func:`add_options` adds, and ``out``.
        module: of the command.
        arguments: of the command; those of ``NOT_A_TASKS`` are left out.
        most: pieces of work that there are; N is no larger.

    Returns:
        N.

    Raises:
        UserError: a task failed, or the wrapper cannot be run.
    """
    jobs = JOBS if args.nj is None else args.nj
    if jobs < 1:
        raise UserError(f"--nj is {jobs}: it must be at least 1")
    count = jobs if most is None else min(jobs, most)
    log = (args.log or args.out.parent / "log") / f"{module.rpartition('.')[2]}_{args.out.name}.{TASK}.log"
    own, skipped = [], False
    for word in arguments:
        if not skipped and word.partition("=")[0] not in NOT_A_TASKS:
            own.append(word)
        skipped = not skipped and word in NOT_A_TASKS
    command = [*split_wrapper(args.cmd, "--cmd"), f"{TASK}=1:{count}", str(log), sys.executable, "-m", module, *own]
    try:
        done = subprocess.run([*command, "--part", f"{TASK}/{count}"], stdin=subprocess.DEVNULL)
    except OSError as error:
        raise UserError(f"--cmd: cannot run {command[0]}: {error.strerror}") from error
    if done.returncode:
        raise UserError(f"jobs of {module} failed, see above and {log.parent}; the same command redoes what is missing")
    return count
