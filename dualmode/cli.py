"""The parser of a sub-command of ``dualmode``; what else command lines share is :mod:`dualmode_runtime.cli`."""

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dualmode.commands import BY_MODULE
from dualmode.errors import UserError
from dualmode.extras import EXTRA_OF, missing
from dualmode.lines import is_unicode
from dualmode_runtime import cli
from dualmode_runtime.cli import Parser, PlainOutput, describe, refill

__all__ = [
    "PlainOutput",
    "add_max_rejected",
    "at_least",
    "check_name",
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


def check_name(path: object) -> None:
    """Raise UserError for a name, or other words, that are not UTF-8: lists and reports are, and would have it.

    >>> check_name("caf\\u00e9")
    """
    if not is_unicode(str(path)):
        raise UserError(f"{ascii(str(path))} is not UTF-8, as the files are that would have it: use another name")


def existing_file(text: str) -> Path:
    """Argparse type: the path of a file that is there, by :func:`check_name`."""
    check_name(text)
    return cli.existing_file(text)


def existing_dir(text: str) -> Path:
    """Argparse type: the path of a folder that is there, by :func:`check_name`."""
    check_name(text)
    return cli.existing_dir(text)


class _Parser(Parser):
    """Refuses names that are not UTF-8 before any work; of audio each name is looked at where it is read."""

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        if action.dest != "audio":
            check_name(arg_string)
        return super()._get_value(action, arg_string)


def make_parser(description: str, module: str) -> argparse.ArgumentParser:
    """Return the parser of a command.

    >>> make_parser("Train.", "asr_train").prog
    'dualmode train'

    Args:
        description: what it does; lines are filled anew, but for those that are laid out with spaces.
        module: its file in dualmode/bin, as in the table of :mod:`dualmode.commands`.
    """
    return _Parser(prog=f"dualmode {BY_MODULE[module].name}", description=description.strip())


def seed(text: str) -> int:
    """Return the seed that an option gives, for ``type=`` of argparse.

    >>> seed("7")
    7
    """
    if not text.isdecimal() or int(text) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text} is no seed: it must be a whole number from 0 to {LARGEST_SEED}")
    return int(text)


def at_least(lowest: float) -> Callable[[str], float]:
    """Return the argparse type of a number from ``lowest`` on: a whole one where that is an int.

    >>> at_least(1)("4"), at_least(0.5)("4")
    (4, 4.0)
    """
    kind, words = (int, "whole number") if isinstance(lowest, int) else (float, "number")

    def number(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not lowest <= value < math.inf:
            raise argparse.ArgumentTypeError(f"{text}: expected a {words} of at least {lowest:g}")
        return value

    return number


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

    cli.run(named)
