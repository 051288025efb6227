"""The command ``dualmode``, also as ``python -m dualmode``: finds the sub-command and hands it the rest of the line."""

import importlib
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence

from dualmode import __version__
from dualmode.cli import run
from dualmode.commands import COMMANDS, GROUPS, nearest_command
from dualmode.errors import UserError

USAGE = "usage: dualmode COMMAND ...\n       dualmode COMMAND --help\n       dualmode --version"
ABOUT = (
    "Speech recognition models that are trained once and run twice: large and dense, or small, sparse and streaming."
)
MOST_COLUMNS = 120


def help_lines(columns: int) -> Iterator[str]:
    """Yield the help, no line of it longer than ``columns``."""
    yield from (USAGE, "")
    yield from textwrap.wrap(ABOUT, columns)
    indent = max(map(len, COMMANDS)) + 4
    for title, commands in GROUPS.items():
        yield from ("", f"{title}:")
        for command in commands:
            start = f"  {command.name}".ljust(indent)
            yield from textwrap.wrap(command.about, columns, initial_indent=start, subsequent_indent=" " * indent)


def main(argv: Sequence[str] | None = None) -> int | None:
    """Run the sub-command that the first word names, with the words after it."""
    words = sys.argv[1:] if argv is None else list(argv)
    if not words or words[0] in ("-h", "--help", "help"):
        columns = min(shutil.get_terminal_size().columns, MOST_COLUMNS)
        print("\n".join(help_lines(columns)), file=sys.stdout if words else sys.stderr)
        return None if words else 2
    if words[0] in ("-V", "--version"):
        print(f"dualmode {__version__}")
        return None
    if words[0] not in COMMANDS:
        kind = "option" if words[0].startswith("-") else "command"
        meant = nearest_command(words[0])
        raise UserError(f"there is no {kind} {words[0]!r}{meant or ';'} dualmode --help lists all commands")
    return importlib.import_module(f"dualmode.bin.{COMMANDS[words[0]].module}").main(words[1:])


def program() -> None:
    """What the console script calls."""
    run(main)


if __name__ == "__main__":
    program()
