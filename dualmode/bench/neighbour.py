"""A training beside a busy process, by how its threads wait: libgomp's default spins on, passive sleeps at once.

Trainings of the same model, one for each way of waiting, take turns; a process that only computes comes and goes::

    alone          default  passive  brief   default  passive  brief ...
    beside it      default  passive  brief   default  passive  brief ...

brief is what trainings use: it looks 3000 times whether the wait is over, and then sleeps.
"""

import argparse
import contextlib
import itertools
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from dualmode.cli import at_least

COLUMNS = ("busy_neighbours", "waiting", "ms", "over_passive")
POLICY, SPINS = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"
WAITING: dict[str, dict[str, str]] = {
    "default": {},
    "passive": {POLICY: "passive"},
    "brief": {POLICY: "passive", SPINS: "3000"},
}
BUSY = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    pass"  # and no longer


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rounds", type=at_least(1), default=9, metavar="N", help="timed steps of each; the median counts"
    )
    parser.add_argument(
        "--neighbours",
        type=at_least(0),
        nargs="+",
        default=[0, 1],
        metavar="N",
        help="busy processes beside the training",
    )


class Training:
    """A process that trains a step whenever it is asked to."""

    def __init__(self, waiting: str, threads: int):
        ours = (POLICY, SPINS, "OMP_NUM_THREADS")
        environment = {name: value for name, value in os.environ.items() if name not in ours} | WAITING[waiting]
        command = [sys.executable, "-m", "dualmode.bench.neighbour", str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=environment
        )

    def step(self) -> float:
        """Return the seconds of the next step."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print("step", file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


@contextlib.contextmanager
def trainings(threads: int) -> Iterator[dict[str, Training]]:
    running = {waiting: Training(waiting, threads) for waiting in WAITING}
    try:
        for one in running.values():
            one.step()  # warm-up
        yield running
    finally:
        for one in running.values():
            one.process.kill()


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Have ``count`` processes compute nothing of use."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for each number of neighbours and way of waiting."""
    rows = []
    with trainings(args.threads or len(os.sched_getaffinity(0))) as running:
        for count in args.neighbours:
            with busy(count):
                seconds = [{waiting: one.step() for waiting, one in running.items()} for _ in range(args.rounds)]
            median = {waiting: statistics.median(step[waiting] for step in seconds) for waiting in WAITING}
            for waiting in WAITING:
                row = {"busy_neighbours": count, "waiting": waiting, "ms": 1000 * median[waiting]}
                rows.append(row | {"over_passive": median[waiting] / median["passive"]})
    return rows


def train(threads: int) -> None:
    """Be a training: a step of an encoder of 144 x 6 for every line of standard input."""
    import torch

    from dualmode.bench.timing import timed
    from dualmode.encoder.config import EncoderConfig
    from dualmode.encoder.conformer import DualModeEncoder

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    encoder = DualModeEncoder(EncoderConfig(output_size=144, num_blocks=6, attention_heads=4, linear_units=576)).train()
    features, lengths = torch.randn(2, 400, 80), torch.full((2,), 400)

    def step():
        encoder(features, lengths)[0].square().mean().backward()

    for _ in itertools.takewhile(bool, iter(sys.stdin.readline, "")):
        print(timed(step), flush=True)


if __name__ == "__main__":
    train(int(sys.argv[1]))
