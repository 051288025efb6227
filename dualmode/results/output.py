"""Result files: atomic, and one sentence when they cannot be written.  A link stays one, and its file is replaced."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dualmode.errors import UserError
from dualmode_runtime.files import atomic_write, write_json


def write_lines(path: str | os.PathLike, lines: Iterable[str]) -> None:
    """Write each line, ended by a newline.  Raises UserError where the path cannot be written."""
    with writable(path), atomic_write(os.path.realpath(path)) as out:
        out.writelines(f"{line}\n" for line in lines)


def write_together(texts: Mapping[Path, str]) -> None:
    """Write files that are of one run: none takes its place before all are complete, so that they stay of one run.

    Raises:
        UserError: one of the paths cannot be written.
    """
    with contextlib.ExitStack() as stack:
        for path, text in texts.items():
            stack.enter_context(writable(path))
            stack.enter_context(atomic_write(os.path.realpath(path))).write(text)


def write_json_file(path: str | os.PathLike, value: Any) -> None:
    """Write ``value`` as JSON.  Raises UserError where the path cannot be written."""
    with writable(path):
        write_json(os.path.realpath(path), value)


def check_outputs(outputs: Iterable[tuple[str, Path | None]], read: Iterable[Path]) -> None:
    """Raise UserError if a file to be written is one that is read, or is to be written twice, by whatever link.

    Args:
        outputs: options, and the files that they name; None where one was not given.
        read: files that the command reads.
    """
    inputs = set(map(os.path.realpath, read))
    owners: dict[str, str] = {}
    for option, path in outputs:
        if path is None:
            continue
        place = os.path.realpath(path)
        if place in inputs:
            raise UserError(f"{path} is read here, and {option} would replace it: name another")
        if place in owners:
            raise UserError(f"{owners[place]} and {option} are the same file, {path}: name one for each")
        owners[place] = option


def check_kind(path: Path, begins: bytes, kind: str) -> None:
    """Raise UserError if at ``path`` is a file that is not of the kind that would replace it.

    Args:
        path: to be written.
        begins: what every file of the kind begins with.
        kind: its name, in words.
    """
    if path.is_file():
        with writable(path), open(path, "rb") as file:
            head = file.read(len(begins))
        if head and head != begins:
            raise UserError(f"{path} is there and is no {kind}: name another file, or remove it")


@contextlib.contextmanager
def writable(path: str | os.PathLike) -> Iterator[None]:
    """Turn the system's refusal to write ``path`` into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
