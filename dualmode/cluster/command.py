"""The command line of Kaldi's job wrappers: [--option value | JOB=1:8]... LOG COMMAND..."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from dualmode.errors import UserError


@dataclass(frozen=True)
class Request:
    """What is to be run.

    Attributes:
        log: file of each task; the variable in it becomes the task's number.
        words: of the command, likewise.
        variable: such as JOB; None for a single task.
        tasks: numbers of the tasks.
        options: such as {"mem": "4G"}; names with underscores.
    """

    log: str
    words: tuple[str, ...]
    variable: str | None = None
    tasks: tuple[int, ...] = (1,)
    options: dict[str, str] = field(default_factory=dict)

    def log_of(self, task: int) -> str:
        return self._filled(self.log, task)

    def words_of(self, task: int) -> list[str]:
        return [self._filled(word, task) for word in self.words]

    def _filled(self, text: str, task: int) -> str:
        return text.replace(self.variable, str(task)) if self.variable else text


def split_wrapper(text: str, name: str) -> list[str]:
    """Return the words of a wrapper with its options, as a shell would split them.

    Raises:
        UserError: a quote or a backslash is without its other half, or there are none; says ``name``.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UserError(f"{name}: {str(error).lower()}: {text}") from None
    if not words:
        raise UserError(f"{name} names no program")
    return words


def _set(options: dict[str, str], name: str, value: str) -> None:
    if name == "num_threads" and value.isdecimal() and options.get(name, "").isdecimal():
        value = max(value, options[name], key=int)
    options[name] = value


def parse(words: Sequence[str]) -> Request:
    """Read the words after the wrapper's name.

    >>> parse(["--mem", "4G", "JOB=1:2", "log/x.JOB.log", "echo", "JOB"]).words_of(2)
    ['echo', '2']

    The last one of an option counts, but of --num-threads the largest: ESPnet's launcher puts a core a GPU behind what
    the user said.

    Raises:
        UserError: a value, the log or the command is missing, or the range is empty.
    """
    words, variable = list(words), None
    options: dict[str, str] = {}
    tasks: tuple[int, ...] = (1,)
    while words:
        word = words[0]
        span = re.fullmatch(r"([A-Z][A-Z0-9_]*)=(\d+)(?::(\d+))?", word)
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if not equals:
                if len(words) < 2:
                    raise UserError(f"{word} needs a value")
                value = words.pop(1)
            _set(options, name.replace("-", "_"), value)
        elif span:
            variable, first, last = span[1], int(span[2]), int(span[3] or span[2])
            if not 1 <= first <= last:
                raise UserError(f"{word}: expected a range of numbers from 1 on, such as {variable}=1:8")
            tasks = tuple(range(first, last + 1))
        else:
            break
        words.pop(0)
    if len(words) < 2:
        raise UserError("expected [--option value]... [JOB=1:8] LOG COMMAND...")
    log, *command = words
    if variable and len(tasks) > 1 and variable not in log:
        raise UserError(f"the log {log} must have {variable} in its name, or {len(tasks)} tasks write to one file")
    return Request(log, tuple(command), variable, tasks, options)
