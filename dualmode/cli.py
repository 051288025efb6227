"""The parser of a sub-command of ``dualmode``; what else command lines share is :mod:`dualmode_runtime.cli`."""

import argparse
from collections.abc import Callable, Sequence

from dualmode.commands import BY_MODULE
from dualmode.errors import UserError
from dualmode.extras import EXTRA_OF, missing
from dualmode_runtime.cli import Parser, PlainOutput, describe, existing_dir, existing_file, refill
from dualmode_runtime.cli import run as run_program

__all__ = [
    "PlainOutput",
    "add_max_rejected",
    "check_max_rejected",
    "describe",
    "existing_dir",
    "existing_file",
    "make_parser",
    "refill",
    "run",
    "seed",
]
LARGEST_SEED = 2**32 - 1  # of NumPy's


def make_parser(description: str, module: str) -> argparse.ArgumentParser:
    """Return the parser of a command.

    >>> make_parser("Train.", "asr_train").prog
    'dualmode train'

    Args:
        description: what it does; lines are filled anew, but for those that are laid out with spaces.
        module: its file in dualmode/bin, as in the table of :mod:`dualmode.commands`.
    """
    return Parser(prog=f"dualmode {BY_MODULE[module].name}", description=description.strip())


def seed(text: str) -> int:
    """Return the seed that an option gives, for ``type=`` of argparse.

    >>> seed("7")
    7
    """
    if not text.isdecimal() or int(text) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text} is no seed: it must be a whole number from 0 to {LARGEST_SEED}")
    return int(text)


def add_max_rejected(parser: argparse.ArgumentParser) -> None:
    """Add --max-rejected, the share of faulty utterances at which a command stops."""
    parser.add_argument(
        "--max-rejected",
        type=float,
        default=1.0,
        metavar="PERCENT",
        help="fail when a larger share is rejected, in percent",
    )


def check_max_rejected(percent: float) -> None:
    """Raise UserError unless --max-rejected is a percentage."""
    if not 0 <= percent <= 100:
        raise UserError(f"--max-rejected {percent:g}: expected percent, 0 to 100")


def run(main: Callable[[Sequence[str] | None], int | None]) -> None:
    """Run ``main`` as a program, see :func:`dualmode_runtime.cli.run`; a missing extra is a sentence, too."""

    def named(argv: Sequence[str] | None) -> int | None:
        try:
            return main(argv)
        except ModuleNotFoundError as error:
            module = (error.name or "").partition(".")[0]
            if module not in EXTRA_OF:
                raise
            raise missing(module) from error

    run_program(named)
