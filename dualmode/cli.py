"""What every command line of the package shares: help with defaults, and errors without tracebacks."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from dualmode.errors import UserError


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the description's line breaks and appends each option's default to its help."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        if action.default in (None, argparse.SUPPRESS, False) or "%(default)" in text or not action.option_strings:
            return text
        return f"{text} (default: %(default)s)"


def make_parser(description: str, prog: str) -> argparse.ArgumentParser:
    """Return a parser for ``python -m dualmode.bin.<prog>``.

    >>> make_parser("Count words.", "count").prog
    'python -m dualmode.bin.count'
    """
    return argparse.ArgumentParser(
        prog=f"python -m dualmode.bin.{prog}",
        description=description.strip(),
        formatter_class=_HelpFormatter,
        allow_abbrev=False,
    )


def existing_file(text: str) -> Path:
    """Argparse type: the path of a file that is there."""
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return path


def existing_dir(text: str) -> Path:
    """Argparse type: the path of a folder that is there."""
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {text}")
    return path


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
    """Run ``main`` as a program: 0 when it succeeds, 2 with one sentence on standard error for a user's mistake."""
    try:
        sys.exit(main(None) or 0)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader (head, less) has gone: nobody is left to tell, and Python would complain at shutdown.
        sys.stderr.close()
        sys.exit(141)
