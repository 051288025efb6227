"""What every command line of the package shares: help with defaults, and errors without tracebacks."""

import argparse
import contextlib
import os
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
        status = main(None) or 0
        sys.stdout.flush()  # a full disk is met here, where it can be told
        sys.exit(status)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader (head, less) has gone: nobody is left to tell
        _no_complaints_at_shutdown()
        sys.exit(141)
    except OSError as error:
        print(f"error: {describe(error)}", file=sys.stderr)
        _no_complaints_at_shutdown()
        sys.exit(2)
    except MemoryError:
        print("error: out of memory: fewer --jobs, smaller batches or shorter audio need less", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def describe(error: OSError) -> str:
    """Return what the operating system says in one sentence, with the file where it names one.

    >>> describe(FileNotFoundError(2, "No such file or directory", "a/b"))
    'a/b: No such file or directory'
    """
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename is not None else f"the operating system says: {reason}"


def _no_complaints_at_shutdown() -> None:
    """Keep Python from writing what is left in a standard output that takes no more."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
