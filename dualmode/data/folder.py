"""Folders that are either complete or not there."""

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import IO

from dualmode.errors import UserError
from dualmode_runtime.files import naming


@dataclass(frozen=True)
class Contents:
    """What a command leaves in a folder: it replaces a folder of its own, and nothing else.

    Attributes:
        mark: file that every such folder has.
        names: patterns of all that may be in it.
    """

    mark: str
    names: tuple[str, ...]

    def check_replaceable(self, path: Path) -> None:
        """Raise UserError unless at ``path`` is nothing, an empty folder, or one with the mark and nothing foreign."""
        if not os.path.lexists(path):
            return
        foreign = []
        if path.is_dir() and not path.is_symlink():
            entries = os.listdir(path)
            foreign = [name for name in sorted(entries) if not any(fnmatch(name, known) for known in self.names)]
            if not entries or (self.mark in entries and not foreign):
                if os.path.samefile(path, os.curdir):
                    raise UserError(
                        f"{path} is the folder that this runs in, and would be replaced: name another --out"
                    )
                return
        held = f"it holds {foreign[0]}" if foreign else f"it is no folder with a {self.mark}"
        raise UserError(f"{path} is there and was not made by this command ({held}): name another --out, or remove it")


def check_transcripts_folder(out: Path, other: str) -> None:
    """Raise UserError if a folder for transcripts has others: references of data, or what another decoder left.

    Args:
        out: the folder.
        other: the file by which the other decoder's folders are known.
    """
    for name, what in (("wav.scp", "data"), ("feats.scp", "data"), (other, "a decoding of another kind")):
        if (out / name).exists():
            raise UserError(f"{out} holds {what} ({name}), and its text would be replaced: name another --out")


def take_lock(file: int | IO, shared: bool = False) -> bool:
    """Take the lock of an open file until it is closed; return whether its disk has locks.

    Args:
        shared: with others that share it, and with none that does not.

    Raises:
        BlockingIOError: another process has it.
    """
    try:
        fcntl.lockf(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise BlockingIOError(error.errno, error.strerror) from None
        return False
    return True


def incomplete(path: Path) -> Path:
    """Return where a folder is made before it is put at ``path``."""
    return path.with_name(f".{path.name}.incomplete")


def put_in_place(made: Path, path: Path) -> None:
    """Give a folder that is whole its name; one that was there, whose contents the caller has looked at, is removed.

    It gets another name first: half a folder under its own would be taken for one of others, and not be replaced.
    """
    old = path.with_name(f".{path.name}.old")
    shutil.rmtree(old, ignore_errors=True)  # a run was killed here
    if path.exists():
        path.rename(old)
        shutil.rmtree(old)
    made.rename(path)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike, contents: Contents | None = None) -> Iterator[Path]:
    """Yield an empty folder beside ``path``; on success it replaces ``path``, on an error it is removed.

    What is replaced must be of the same ``contents``; without these there must be nothing at ``path``.

    What a killed run left behind is removed by the next one, so its name is fixed: one writer at a time.
    """
    path = Path(path)
    if contents is not None:
        contents.check_replaceable(path)
    elif os.path.lexists(path):
        raise UserError(f"{path} is there already: choose another folder, or remove it")
    tmp = incomplete(path)
    shutil.rmtree(tmp, ignore_errors=True)
    tmp.mkdir(parents=True)
    try:
        with naming(path):
            yield tmp
        put_in_place(tmp, path)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
