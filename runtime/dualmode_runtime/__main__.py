"""What the console scripts call; ``python -m dualmode_runtime`` is the first one."""

import os
import sys

from dualmode_runtime.build import BUILT, PROGRAM, is_stale
from dualmode_runtime.cli import run
from dualmode_runtime.transcribe import main


def program() -> None:
    """``dualmode-runtime``: the command in Python."""
    run(main)


def compiled() -> None:
    """``dualmode-device``: hands over to the program in C++, which is this package's and needs no Python."""
    path = BUILT / PROGRAM
    if not path.is_file():
        sys.exit(f"error: {path} is not there: install a C++17 compiler and run python -m dualmode_runtime.build")
    if is_stale(path.parent):
        sys.exit(f"error: {path} was compiled from other sources: run python -m dualmode_runtime.build")
    os.execv(path, [os.fspath(path), *sys.argv[1:]])


if __name__ == "__main__":
    program()
