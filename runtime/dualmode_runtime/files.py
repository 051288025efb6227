"""Files that are either complete or not there: write to a temporary name, then rename."""

import contextlib
import errno
import glob
import hashlib
import json
import os
import platform
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it replaces ``path``, on any error it is removed.

    with atomic_path("weights.bin") as tmp:
        tmp.write_bytes(b"whole or not at all")

    Raises:
        OSError: ``path`` cannot be written, or is a device or a pipe, whose place a file would take.
    """
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "it is a device or a pipe, whose place a file would take", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two machines that write the same file may do so in processes of the same number, in containers above all.
    tmp = path.with_name(f"{_temporary(path)}{os.getpid()}.{zlib.crc32(platform.node().encode()):08x}")
    try:
        with naming(path):
            yield tmp
            with open(tmp, "rb") as written:
                os.fsync(written.fileno())
        os.replace(tmp, path)
    finally:
        tmp.unlink(missing_ok=True)


def remove_temporary(path: str | os.PathLike) -> None:
    """Remove what killed processes left of ``path`` beside it; nobody may be writing it."""
    path = Path(path)
    for tmp in path.parent.glob(f"{glob.escape(_temporary(path))}*"):
        tmp.unlink(missing_ok=True)


def _temporary(path: Path) -> str:
    """Return how the names of the files begin that become ``path``."""
    return f".{_short(path.name)}.tmp"


@contextlib.contextmanager
def naming(path: str | os.PathLike) -> Iterator[None]:
    """Say which file it was in an error of a disk that has no room, which only writing can be; the system does not."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            error.filename = os.fspath(path)
        raise


def _short(name: str) -> str:
    """Return ``name``, or of one that has no room for more in a file system's 255 bytes a number that is its own."""
    data = os.fsencode(name)
    return name if len(data) <= 200 else f"{zlib.crc32(data):08x}"


def check_writable(folder: str | os.PathLike) -> None:
    """Make ``folder`` if it is not there, and write to it once: what cannot be written is found before the work."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=os.fspath(folder)) as file:
        file.write(b"0")


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[TextIO]:
    """Yield a UTF-8 text file that appears under ``path`` only once it is complete."""
    with atomic_path(path) as tmp, open(tmp, "w", encoding="utf-8", newline="\n") as out:
        yield out


def json_text(value: Any) -> str:
    """Return ``value`` as indented JSON; NaN and infinity are a ValueError, as JSON has none."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write ``value`` as :func:`json_text`, atomically."""
    text = json_text(value)
    with atomic_write(path) as out:
        out.write(text)


def sha256_of(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file of any size, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
