"""Result files: atomic, and one sentence when they cannot be written.  A link stays one, and its file is replaced."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import Any

from dualmode.errors import UserError
from dualmode_runtime.files import atomic_write, write_json


def write_lines(path: str | os.PathLike, lines: Iterable[str]) -> None:
    """Write each line, ended by a newline.  Raises UserError where the path cannot be written."""
    with writable(path), atomic_write(os.path.realpath(path)) as out:
        out.writelines(f"{line}\n" for line in lines)


def write_json_file(path: str | os.PathLike, value: Any) -> None:
    """Write ``value`` as JSON.  Raises UserError where the path cannot be written."""
    with writable(path):
        write_json(os.path.realpath(path), value)


@contextlib.contextmanager
def writable(path: str | os.PathLike) -> Iterator[None]:
    """Turn the system's refusal to write ``path`` into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
