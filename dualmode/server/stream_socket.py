"""The WebSocket /v1/stream: a client's first message, its audio, and its end."""

import asyncio
import contextlib

from starlette.websockets import WebSocket, WebSocketDisconnect

from dualmode.errors import UserError
from dualmode.server.connections import TAKES
from dualmode.server.hearing import Hearing
from dualmode.server.protocol import VERSION, Hello, message, read_hello, read_json
from dualmode.server.state import State
from dualmode.server.stream import Stream

POLICY, LATER = 1008, 1013  # status of a close, RFC 6455
CODES = {"finished": 1000, "limit": 1000, "idle": 1000, "stopping": 1001, "error": 1003}
# What hearing from and sending to a client that has gone raises.  RuntimeError is wide: only calls of the socket stand
# where it is caught, so that no fault of ours is taken for it.
GONE = (WebSocketDisconnect, RuntimeError, OSError)
FINISH = {"type": "finish"}


async def stream_socket(websocket: WebSocket) -> None:
    """Serve one stream from the handshake to the close."""
    state: State = websocket.app.state.server
    try:
        hello = await _greeted(websocket, state.limits.handshake_s)
        if hello is None:
            return
        if not state.guard.knows(hello.token):
            state.metrics.count("refused_total", reason="token")
            return await _refuse(websocket, POLICY, "the token is missing, or another one is wanted")
        if state.stopping or len(state.streams) >= state.limits.max_clients:
            state.metrics.count("refused_total", reason="full")
            return await _refuse(websocket, LATER, "the server takes no more streams now: try again later")
        await _converse(websocket, state, hello)
    except asyncio.TimeoutError:
        state.metrics.count("refused_total", reason="silent")
        await _refuse(websocket, POLICY, f"no first message came within {state.limits.handshake_s} s")
    except UserError as error:
        state.metrics.count("refused_total", reason="protocol")
        await _refuse(websocket, POLICY, str(error))


async def _greeted(websocket: WebSocket, seconds: float) -> Hello | None:
    """Return a client's first message; None if it has gone."""
    try:
        await websocket.accept()
        return await asyncio.wait_for(_first_message(websocket), seconds)
    except asyncio.TimeoutError:  # an OSError from Python 3.11 on
        raise
    except GONE:
        return None


async def _first_message(websocket: WebSocket) -> Hello:
    received = await websocket.receive()
    if received["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(received["code"])
    if received.get("text") is None:
        raise UserError('the first message must be text: a JSON object such as {"sample_rate": 16000}')
    return read_hello(received["text"])


async def _refuse(websocket: WebSocket, code: int, reason: str) -> None:
    with contextlib.suppress(*GONE):
        await websocket.send_text(message("error", message=reason))
        await websocket.close(code)


async def _converse(websocket: WebSocket, state: State, hello: Hello) -> None:
    second_pass = state.second_pass if hello.second_pass else None
    hearing = Hearing(state.served.device.stream(), hello, second_pass is not None)
    stream = Stream(hearing, hello, websocket.send_text, state.pool, second_pass, state.limits, state.metrics)
    state.streams.add(stream)
    state.metrics.count("streams_total")
    about = {"model": state.served.name, "subnet": str(state.served.subnet), "second_pass": second_pass is not None}
    stream.say("ready", protocol=VERSION, chunk_ms=state.served.subnet.context.chunk_ms, **about)
    websocket.scope["state"][TAKES] = stream.take
    sender = asyncio.create_task(stream.run_sender())
    reader = asyncio.create_task(_read(websocket, stream, state.limits.idle_s))
    sender.add_done_callback(lambda _: stream.end("gone"))
    reason = "error"
    try:
        reason = await stream.over
        reader.cancel()
        if reason != "gone":
            finish = asyncio.create_task(stream.finish(state.limits.stop_s))
            await asyncio.wait((finish, sender), return_when=asyncio.FIRST_COMPLETED)
            if not finish.done():
                finish.cancel()
                reason = "gone"
            else:
                await finish
                reason = stream.reason
                with contextlib.suppress(*GONE):
                    await websocket.close(CODES[reason])
    finally:
        state.metrics.count("streams_ended_total", reason=reason)
        for task in (sender, reader):
            task.cancel()
        await asyncio.gather(sender, reader, return_exceptions=True)
        state.streams.discard(stream)
        stream.drop()


async def _read(websocket: WebSocket, stream: Stream, idle_s: float) -> None:
    """Feed the stream what the client sends, until it is over."""
    loop = asyncio.get_running_loop()
    waits_since: float | None = loop.time()
    timer: asyncio.TimerHandle

    def look() -> None:  # a timer a stream, not one a message
        nonlocal timer
        left = idle_s if waits_since is None else max(waits_since, stream.fed_at) + idle_s - loop.time()
        if left <= 0:
            stream.end("idle")
        else:
            timer = loop.call_later(left, look)

    timer = loop.call_later(idle_s, look)
    try:
        while True:
            try:
                received = await websocket.receive()
            except GONE:
                return stream.end("gone")
            waits_since = None  # from here on it is the server that is waited for
            if received["type"] == "websocket.disconnect":
                return stream.end("gone")
            if data := received.get("bytes"):
                await stream.feed(data)
            elif (text := received.get("text")) is not None:
                if read_json(text) == FINISH:
                    return stream.end("finished")
                raise UserError('after the first message come audio and, at its end, {"type": "finish"}')
            waits_since = loop.time()
    except UserError as error:
        stream.end("error", str(error))  # what came before is heard to its end
    except Exception as error:
        stream.fail(error)
    finally:
        timer.cancel()
