"""``POST /v1/audio/transcriptions`` and ``GET /v1/models``, as OpenAI's clients send them."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from dualmode.frames import SAMPLE_RATE
from dualmode.server.answers import FORMATS, GRANULARITIES, answer, event
from dualmode.server.errors import Refused, failure
from dualmode.server.models import DENSE, SPARSE
from dualmode.server.offline import recognise_sparse
from dualmode.server.second_pass import Closed
from dualmode.server.state import State
from dualmode.server.upload import on_disk, read_form
from dualmode_runtime.audio.fault import AudioFault
from dualmode_runtime.recordings import MAX_UTTERANCE_MS, recording_pieces
from dualmode_runtime.transcript import Result, joined

GONE = 499  # as nginx counts clients that have gone before their answer; nobody hears it
FREE = ("language", "prompt", "temperature")  # hints that these models cannot use


@dataclass(frozen=True)
class Asked:
    """What a client asks for, checked.

    Attributes:
        file: the recording.
        model: DENSE or SPARSE.
        format: one of FORMATS.
        granularities: see :func:`dualmode.server.answers.answer`.
        stream: whether the text comes as server-sent events, piece by piece.
        language: a hint.
        ignored: fields that had no effect.
    """

    file: UploadFile
    model: str
    format: str
    granularities: set[str]
    stream: bool
    language: str | None
    ignored: list[str]


def model_names(state: State) -> list[str]:
    """Return the names of the models, the best first."""
    return [DENSE, SPARSE] if state.second_pass else [SPARSE]


def all_names(state: State) -> list[str]:
    """Return the names of the models, and behind them the other names of the best one."""
    return [*model_names(state), *sorted(state.aliases)]


async def models(request: Request) -> Response:
    """List the models, by all of their names, or tell about one of them."""
    state: State = request.app.state.server
    rows = [{"id": name, "object": "model", "created": 0, "owned_by": state.served.name} for name in all_names(state)]
    wanted = request.path_params.get("model")
    if wanted is None:
        return JSONResponse({"object": "list", "data": rows})
    for row in rows:
        if row["id"] == wanted:
            return JSONResponse(row)
    raise _no_model(wanted, state)


def _no_model(name: str, state: State) -> Refused:
    known = ", ".join(all_names(state))
    return Refused(404, f"there is no model {name!r}; there are: {known}", "model", "model_not_found")


def read_asked(form: FormData, state: State) -> Asked:
    """Check a form; Refused names what is wrong with it."""
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise Refused(400, "there is no file", "file")
    texts = {name: value for name, value in form.items() if isinstance(value, str)}
    model = texts.get("model", "")
    if not model:
        raise Refused(400, f"there is no model: it must be one of {', '.join(model_names(state))}", "model")
    if model in state.aliases:
        model = model_names(state)[0]
    if model not in model_names(state):
        raise _no_model(model, state)
    format, stream = texts.get("response_format", "json"), texts.get("stream", "false").lower()
    if format not in FORMATS:
        raise Refused(400, f"response_format is {format!r}: it must be one of {', '.join(FORMATS)}", "response_format")
    if stream not in ("true", "false"):
        raise Refused(400, f"stream is {stream!r}: it must be true or false", "stream")
    if stream == "true" and format not in ("json", "text"):
        raise Refused(400, f"stream=true needs response_format json or text, not {format}", "stream")
    names = ("timestamp_granularities[]", "timestamp_granularities")
    granularities = {str(value) for name in names for value in form.getlist(name)}
    if granularities and (format != "verbose_json" or not granularities <= set(GRANULARITIES)):
        message = "timestamp_granularities are word and segment, and need response_format verbose_json"
        raise Refused(400, message, "timestamp_granularities")
    known = {"file", "model", "response_format", "stream", *names}
    ignored = sorted(set(form) - known)
    if unknown := [name for name in ignored if name not in FREE]:
        raise Refused(400, f"{unknown[0]!r} is not supported here", unknown[0], "unsupported_parameter")
    language = texts.get("language")
    return Asked(file, model, format, granularities or {"segment"}, stream == "true", language, ignored)


@dataclass
class Outcome:
    """The status that a request is counted with, once all that it held is let go."""

    status: int = 500


async def transcriptions(request: Request) -> Response:
    """Answer with the transcript of an uploaded recording."""
    state: State = request.app.state.server
    async with contextlib.AsyncExitStack() as stack:
        outcome = stack.enter_context(_counted(state))
        form = await stack.enter_async_context(read_form(request, state.limits))
        asked = read_asked(form, state)
        path = await stack.enter_async_context(on_disk(asked.file))
        results = await stack.enter_async_context(contextlib.aclosing(_results(path, asked, state)))
        if asked.stream:
            first = await anext(results)  # what is wrong with a recording is mostly known by then
            outcome.status = GONE  # unless all events find somebody
            events = Events(_events(first, results, outcome), media_type="text/event-stream", headers=_told(asked))
            events.held = stack.pop_all()
            return events
        whole = await _whole(request, results)
        if whole is None:
            outcome.status = GONE
            return Response(status_code=GONE)
        body = answer(asked.format, whole, asked.granularities, asked.language)
        outcome.status = 200
        return Response(body, media_type=FORMATS[asked.format], headers=_told(asked))


class Events(StreamingResponse):
    """Lets go of what it holds at its end, also where the client has gone before its beginning."""

    held: contextlib.AsyncExitStack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self.held:
            await super().__call__(scope, receive, send)


def _told(asked: Asked) -> dict[str, str]:
    return {"X-Dualmode-Ignored": ", ".join(asked.ignored)} if asked.ignored else {}


@contextlib.contextmanager
def _counted(state: State) -> Iterator[Outcome]:
    """Hold the place of one request; Refused where there is none."""
    outcome = Outcome()
    try:
        if state.stopping or state.requests >= state.limits.max_requests:
            raise Refused(503, "the server takes no more transcriptions now: try again later", code="overloaded")
        state.requests += 1
        try:
            yield outcome
        finally:
            state.requests -= 1
    except Refused as refused:
        outcome.status = refused.status
        raise
    finally:
        state.metrics.count("requests_total", status=str(outcome.status))


async def _results(path: Path, asked: Asked, state: State) -> AsyncGenerator[Result]:
    """Yield the result of each piece of a recording; Refused says what is wrong with it."""
    name = f"the file {asked.file.filename!r}"
    pieces = recording_pieces(path, None, MAX_UTTERANCE_MS)
    try:
        while (piece := await run_in_threadpool(next, pieces, None)) is not None:
            if state.late:
                raise Closed
            if piece.end_ms > 1000 * state.limits.max_recording_s:
                raise Refused(413, f"{name} is longer than {state.limits.max_recording_s} s", "file", "too_long")
            if asked.model == DENSE:
                yield await state.second_pass.result(piece)
            else:
                yield await recognise_sparse(state.served, state.pool, piece)
            state.metrics.count("audio_seconds_total", len(piece.samples) / SAMPLE_RATE)
    except Closed:
        raise Refused(503, "the server is being stopped: send the recording again", code="stopping") from None
    except AudioFault as fault:
        detail = fault.detail.replace(str(path), name)
        raise Refused(400, detail, "file", fault.reason.value) from None
    finally:
        with anyio.CancelScope(shield=True):  # of a client that has gone: what it had begun is cancelled, this is not
            await run_in_threadpool(pieces.close)  # ffmpeg may still be at it


async def _whole(request: Request, results: AsyncIterator[Result]) -> Result | None:
    """Return the result of all pieces; None where the client has gone, whose place another one may have."""
    found = []
    async for result in results:
        found.append(result)
        if await request.is_disconnected():
            return None
    return joined(found)


async def _events(first: Result, results: AsyncIterator[Result], outcome: Outcome) -> AsyncIterator[str]:
    """Yield the text of each piece as it is there, and all of it at the end."""
    texts: list[str] = []
    try:
        result: Result | None = first
        while result is not None:
            if result.text:
                delta = f" {result.text}" if texts else result.text
                texts.append(result.text)
                yield event("transcript.text.delta", delta=delta)
            result = await anext(results, None)
        yield event("transcript.text.done", text=" ".join(texts))
        outcome.status = 200
    except Refused as refused:
        outcome.status = refused.status
        yield event("error", **refused.body)
    except Exception:
        outcome.status = 500
        yield event("error", **failure().body)
        raise
