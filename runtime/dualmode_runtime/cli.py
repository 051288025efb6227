"""What every command line shares: help with defaults, and errors without tracebacks."""

import argparse
import contextlib
import difflib
import io
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TextIO

from dualmode_runtime.errors import UserError
from dualmode_runtime.lines import printable


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the known word that is most like ``word``, or nothing.

    >>> nearest("--beamsize", ["--beam-size", "--batch-size"])
    "; did you mean '--beam-size'?"
    """
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """As wide as the terminal, with each option's default; what is laid out in a description stays as it is."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=32)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(refill(paragraph, width) for paragraph in text.strip().split("\n\n"))

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        default = shown(action.default)
        if not default or "default" in text or not action.option_strings:
            return text
        return f"{text} (default: {default.replace('%', '%%')})"


def shown(default: object) -> str:
    """Return a default as it would be typed; nothing for one that means "not asked for".

    >>> [shown(value) for value in (100.0, 0, [4, 15], "", False, None, [])]
    ['100', '0', '4 15', '', '', '', '']
    """
    if default is None or isinstance(default, bool) or default == argparse.SUPPRESS:
        return ""
    if isinstance(default, list | tuple):
        return " ".join(map(shown, default))
    return f"{default:g}" if isinstance(default, float) else str(default)


def refill(paragraph: str, width: int) -> str:
    """Return a paragraph in lines of at most ``width``; of one that is laid out with spaces, each line for itself.

    >>> print(refill("Counts\\nthe words.", 80))
    Counts the words.
    >>> print(refill("Reads   FILE\\nWrites  COUNT  the number of its words", 30))
    Reads   FILE
    Writes  COUNT  the number of
                   its words
    >>> print(refill("  dualmode score --ref a --hyp b", 26))
      dualmode score --ref a \\
        --hyp b
    """
    lines = re.sub(r" \\\n +", " ", paragraph).splitlines()  # commands as they were before they were broken
    if not any(line.startswith(" ") or "  " in line.replace(".  ", ". ") for line in lines):
        return textwrap.fill(" ".join(paragraph.split()), width, break_on_hyphens=False)
    return "\n".join(
        row for line in lines for row in (_command(line, width) if _is_command(line) else _row(line, width))
    )


def _is_command(line: str) -> bool:
    return line.startswith("  ") and " dualmode " in line


def _command(line: str, width: int) -> list[str]:
    """Return a command line of a shell in lines that it takes; two spaces before it mean four before what is left."""
    whole = re.sub(r"(--[\w-]+) (?=[^-\s])", "\\1\0", line)  # an option and its value stay together
    rows = textwrap.wrap(whole, width - 2, subsequent_indent=" " * 4, break_on_hyphens=False, break_long_words=False)
    rows = [row.replace("\0", " ") for row in rows]
    return [*(f"{row} \\" for row in rows[:-1]), rows[-1]]


def _row(line: str, width: int) -> list[str]:
    """Return a row of a table; what its last column has no room for goes below that."""
    start = max((found.end() for found in re.finditer(r"(?<=\S) {2,}|^ +", line)), default=0)
    return textwrap.wrap(line, width, subsequent_indent=" " * start, break_on_hyphens=False) or [""]


class Parser(argparse.ArgumentParser):
    """Says what is wrong with a command line in one sentence, and what was probably meant."""

    def __init__(self, **options):
        super().__init__(**{"formatter_class": _HelpFormatter, "allow_abbrev": False, **options})
        self.first_word_option: str | None = None  # another way to give the first word, wherever it stands

    def parse_known_args(self, args=None, namespace=None):
        words = sys.argv[1:] if args is None else list(args)
        if self.first_word_option:
            words = first_word_first(words, self.first_word_option)
        return super().parse_known_args(words, namespace)

    def parse_args(self, args=None, namespace=None):
        return self._all_known(*self.parse_known_args(args, namespace))

    def parse_intermixed_args(self, args=None, namespace=None):
        return self._all_known(*self.parse_known_intermixed_args(args, namespace))

    def _all_known(self, found, unknown):
        if unknown:
            word = next((word for word in unknown if word.startswith("-")), unknown[0])
            name = word.partition("=")[0]
            self.error(
                f"there is no option {name}{nearest(name, self._option_string_actions)}"
                if name.startswith("-")
                else f"{name!r} is one word too many"
            )
        return found

    def error(self, message: str):
        self.exit(2, f"error: {message}; {self.prog} --help lists all options\n")


def first_word_first(words: Sequence[str], option: str) -> list[str]:
    """Return ``words`` with the value of ``option``, if it is among them, as the first one.

    >>> first_word_first(["--out", "b", "--model", "a"], "--model"), first_word_first(["a"], "--model")
    (['a', '--out', 'b'], ['a'])
    """
    for index, word in enumerate(words):
        if word == option and index + 1 < len(words):
            return [words[index + 1], *words[:index], *words[index + 2 :]]
        if word.startswith(f"{option}="):
            return [word.removeprefix(f"{option}="), *words[:index], *words[index + 1 :]]
    return list(words)


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


class PlainOutput:
    """A stream that shows what would drive the terminal instead of sending it there, and takes what it cannot encode.

    Transcripts, ids, tokens and names of files are those of others.  A program that draws on the terminal itself does
    so on ``terminal``.
    """

    def __init__(self, terminal: TextIO):
        self.terminal = terminal
        if isinstance(terminal, io.TextIOWrapper):
            terminal.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        self.terminal.write(printable(text))
        return len(text)

    def __getattr__(self, name: str):
        return getattr(self.terminal, name)


def _speak_utf8() -> None:
    """Begin again in Python's UTF-8 mode where the locale would have paths and texts read in another encoding."""
    if not sys.flags.utf8_mode and sys.getfilesystemencoding() != "utf-8" and sys.executable:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def run(main: Callable[[Sequence[str] | None], int | None]) -> None:
    """Run ``main`` as a program: 0 when it succeeds, 2 with one sentence on standard error for a user's mistake."""
    _speak_utf8()
    sys.stdout, sys.stderr = PlainOutput(sys.stdout), PlainOutput(sys.stderr)  # type: ignore[assignment]
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
