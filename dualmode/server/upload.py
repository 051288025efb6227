"""An uploaded recording: limited while it is read, on a disk of its own until it was heard."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from dualmode.server.errors import Refused
from dualmode.server.limits import Limits
from dualmode_runtime.audio.media import BY_FFMPEG, BY_SNDFILE

FIELDS = 32
MULTIPART = "multipart/form-data"


@contextlib.asynccontextmanager
async def read_form(request: Request, limits: Limits) -> AsyncIterator[FormData]:
    """Read a form with one file.

    Raises:
        Refused: it is too large, takes too long, or is no such form.
    """
    most = 1_000_000 * limits.max_upload_mb
    too_large = Refused(413, f"the upload is larger than {limits.max_upload_mb} MB", "file", "too_large")
    kind = request.headers.get("content-type", "")
    if not kind.startswith(MULTIPART):
        raise Refused(400, f"the body must be {MULTIPART}, with a file")
    charset = parse_options_header(kind)[1].get(b"charset", b"utf-8").decode("latin-1")
    if charset.lower() not in ("utf-8", "utf8"):  # starlette would have any codec of Python's decode the texts
        raise Refused(400, f"the form's charset is {charset!r}: its texts must be UTF-8")
    if int(request.headers.get("content-length", 0)) > most:
        raise too_large
    loop = asyncio.get_running_loop()
    deadline, heard = loop.time() + limits.upload_s, 0

    async def receive() -> Message:
        nonlocal heard
        wait = min(limits.idle_s, deadline - loop.time())
        message = await asyncio.wait_for(request.receive(), wait)
        heard += len(message.get("body", b""))
        if heard > most:
            raise too_large
        return message

    try:
        async with Request(request.scope, receive).form(max_files=1, max_fields=FIELDS) as form:
            yield form
    except HTTPException as error:  # of starlette's parser
        raise Refused(400, error.detail) from None
    except asyncio.TimeoutError:
        raise Refused(408, "the upload took too long") from None
    except ClientDisconnect:
        raise Refused(400, "the client has gone") from None


@contextlib.asynccontextmanager
async def on_disk(upload: UploadFile) -> AsyncIterator[Path]:
    """Lend a file with the upload's bytes."""
    with tempfile.TemporaryDirectory(prefix="dualmode_") as folder:
        path = Path(folder) / f"upload{ending(upload.filename or '')}"
        await run_in_threadpool(_copy, upload, path)
        yield path


def _copy(upload: UploadFile, path: Path) -> None:
    with open(path, "wb") as file:
        shutil.copyfileobj(upload.file, file, 1 << 20)


def ending(name: str) -> str:
    """Return the ending of an upload's name where it is one of audio: it tells who can read what does not tell itself.

    >>> ending("a.MP3"), ending("../../etc/passwd")
    ('.mp3', '')
    """
    suffix = Path(name).suffix.lower()
    return suffix if suffix in BY_FFMPEG | BY_SNDFILE else ""
