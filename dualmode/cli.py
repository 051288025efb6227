"""The parser of a sub-command of ``dualmode``; what else command lines share is :mod:`dualmode_runtime.cli`."""

import argparse

from dualmode.commands import BY_MODULE
from dualmode.errors import UserError
from dualmode_runtime.cli import Parser, PlainOutput, describe, existing_dir, existing_file, refill, run

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
]


def make_parser(description: str, module: str) -> argparse.ArgumentParser:
    """Return the parser of a command.

    >>> make_parser("Train.", "asr_train").prog
    'dualmode train'

    Args:
        description: what it does; lines are filled anew, but for those that are laid out with spaces.
        module: its file in dualmode/bin, as in the table of :mod:`dualmode.commands`.
    """
    return Parser(prog=f"dualmode {BY_MODULE[module].name}", description=description.strip())


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
