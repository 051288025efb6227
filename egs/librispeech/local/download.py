"""Parts of LibriSpeech from OpenSLR: resumed where a download stopped, checked, unpacked without trust."""

import hashlib
import http.client
import shutil
import sys
import tarfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from parts import ARCHIVES, Archive

from dualmode.errors import UserError
from dualmode.progress import Progress, format_bytes

TRIES = 5
PAUSE_S = 5.0  # before the second try; twice as long before each further one
TIMEOUT_S = 60.0
_PIECE = 1 << 20


def fetch(part: str, root: Path, mirror: str) -> None:
    """Make the folder ``root``/PART, unless it is there: it is renamed to this name only once it is whole.

    Raises:
        UserError: there is no such part, too little disk space, the network failed, or the archive is damaged.
    """
    if (root / part).is_dir():
        return
    if part not in ARCHIVES:
        raise UserError(f"OpenSLR has no part {part} of LibriSpeech: it has {', '.join(ARCHIVES)}")
    archive, path = ARCHIVES[part], root.parent / f"{part}.tar.gz"
    root.mkdir(parents=True, exist_ok=True)
    _check_space(archive, path, part)
    download(f"{archive.home or mirror}/{part}.tar.gz", path, archive)
    unpack(path, part, root)
    path.unlink()


def _check_space(archive: Archive, path: Path, part: str) -> None:
    """The archive and what it holds are on disk together; FLAC does not get smaller by being packed."""
    there = path.stat().st_size if path.exists() else 0
    needed, free = 2 * archive.bytes - there, shutil.disk_usage(path.parent).free
    if free < needed:
        raise UserError(
            f"{part} needs {format_bytes(needed)} of disk space, {path.parent} has {format_bytes(free)}: free some, "
            "use another --work-dir, or ask for fewer parts"
        )


def download(url: str, path: Path, archive: Archive) -> None:
    """Get ``url`` into ``path``, going on behind what is there already, and check its MD5 sum.

    Raises:
        UserError: the network failed time and again, or the file is not what OpenSLR says it is.
    """
    if not url.startswith(("http://", "https://")):
        raise UserError(f"--mirror: {url} is no http or https address")
    pause = PAUSE_S
    for left in reversed(range(TRIES)):
        try:
            _download_rest(url, path, archive)
            break
        except (OSError, http.client.HTTPException) as error:
            lasting = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if lasting or not left:
                raise UserError(
                    f"cannot download {url}: {error}: check the network or name another --mirror; the same command "
                    "goes on where this one stopped"
                ) from None
            print(f"{url}: {error}; trying again in {pause:g} s", file=sys.stderr)
            time.sleep(pause)
            pause *= 2
    if _md5(path) != archive.md5:
        path.unlink()
        raise UserError(f"{url} is damaged (its MD5 sum is not {archive.md5}) and was removed: run the command again")


def _download_rest(url: str, path: Path, archive: Archive) -> None:
    there = path.stat().st_size if path.exists() else 0
    if there >= archive.bytes:
        return  # a file that is too long fails the check of its sum
    request = urllib.request.Request(url, headers={"Range": f"bytes={there}-"} if there else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        if answer.status != 206:
            there = 0  # the server sends the whole file
        length, missing = answer.headers.get("Content-Length"), archive.bytes - there
        if length is not None and length != str(missing):
            # Such as the page on which a network asks who one is: it must not replace what is there.
            raise ConnectionError(f"the answer has {length} bytes, where {missing} of the archive are missing")
        state = Progress(archive.bytes >> 20, f"downloading {path.name} (MiB)", done=there >> 20)
        with open(path, "ab" if there else "wb") as file:
            while piece := answer.read(min(_PIECE, missing)):
                missing -= file.write(piece)
                state.advance(len(piece) >> 20)
    if path.stat().st_size < archive.bytes:
        raise ConnectionError(f"the connection ended after {path.stat().st_size} of {archive.bytes} bytes")
    state.finish()


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    state = Progress(path.stat().st_size >> 20, f"checking {path.name} (MiB)")
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            state.advance(len(piece) >> 20)
    state.finish()
    return digest.hexdigest()


def unpack(path: Path, part: str, root: Path) -> None:
    """Unpack LibriSpeech/PART and the lists beside it into ``root``; nothing is written outside.

    Raises:
        UserError: a member of the archive is no plain file or folder below LibriSpeech/.
    """
    incomplete = root / f".{part}.incomplete"
    shutil.rmtree(incomplete, ignore_errors=True)
    incomplete.mkdir()
    state = Progress(None, f"unpacking {path.name} (files)")
    try:
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                target = _target(member, incomplete, path)
                if member.isfile():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with open(target, "wb") as out:
                        shutil.copyfileobj(archive.extractfile(member), out)
                    state.advance()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(f"{path} cannot be unpacked: {error}") from None
    if not (incomplete / part).is_dir():
        raise UserError(f"{path} holds no folder LibriSpeech/{part}")
    for file in incomplete.iterdir():
        if file.is_file():
            file.rename(root / file.name)
    (incomplete / part).rename(root / part)
    shutil.rmtree(incomplete)
    state.finish()


def _target(member: tarfile.TarInfo, folder: Path, path: Path) -> Path:
    """Return where a member goes; its owner, its rights and links in the archive are not taken over."""
    first, *rest = Path(member.name).parts or ("",)
    if first != "LibriSpeech" or ".." in rest or not (member.isfile() or member.isdir()):
        raise UserError(f"{path} holds {member.name!r}, which is no file below LibriSpeech/: nothing of it is used")
    return folder.joinpath(*rest)
