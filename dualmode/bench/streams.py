"""Memory of many streams in the device engine: of one model that they share, and with a copy of the model each."""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np

from dualmode.cli import at_least, existing_file, run
from dualmode.errors import UserError
from dualmode_runtime.build import BUILT, LIBRARY
from dualmode_runtime.engine import Device, DeviceModel, load_library

COLUMNS = ("streams", "model", "memory_mb", "mb_a_stream")
THREADS = 1  # in which the engine runs, whatever --threads says
MEMORY = Path("/proc/self/statm")  # pages of this process; the second number is of those in memory
PAGE_BYTES = 4096


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", type=existing_file, required=True, metavar="DMDL", help="file of dualmode pack-device"
    )
    parser.add_argument("--streams", type=at_least(1), nargs="+", default=[1, 50], metavar="N", help="streams at once")


def measure(args: argparse.Namespace) -> list[dict]:
    """Return a row for each number of streams, with one model and with a model each; a process each."""
    if not MEMORY.is_file():
        raise UserError(f"memory is read from {MEMORY}, which only Linux has")
    rows = []
    for count in args.streams:
        for shared in (True, False):
            mb = memory_mb(args.model, count, shared)
            model = "shared" if shared else "one each"
            rows.append({"streams": count, "model": model, "memory_mb": mb, "mb_a_stream": mb / count})
    return rows


def memory_mb(model: Path, streams: int, shared: bool, library: Path = BUILT / LIBRARY) -> float:
    """Return the MB that a new process needs for streams that have heard 2 s, the library's own not counted.

    Raises:
        UserError: the process did not get that far: the model is none, say.
    """
    arguments = [str(model), str(streams), str(int(shared)), str(library)]
    command = [sys.executable, "-m", "dualmode.bench.streams", *arguments]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode:
        said = found.stderr.strip().rpartition("\n")[2].removeprefix("error: ")
        raise UserError(said or f"the process with --streams {streams} ended with {found.returncode}")
    return float(found.stdout)


def _resident_mb() -> float:
    return int(MEMORY.read_text().split()[1]) * PAGE_BYTES / 1e6


def _main(model: str, streams: str, shared: str, path: str) -> None:
    library, noise = load_library(Path(path)), np.random.default_rng(0).uniform(-0.1, 0.1, 32000)
    before = _resident_mb()
    one = DeviceModel.open(model, library=library) if shared == "1" else None
    opened = [one.stream() if one else Device.open(model, library=library) for _ in range(int(streams))]
    for stream in opened:
        stream.accept_samples(noise)
    print(_resident_mb() - before)


if __name__ == "__main__":
    run(lambda _: _main(*sys.argv[1:]))
