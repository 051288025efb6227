"""Clients of a streaming server in real time, hundreds of them in one process: for ``bench server``.

A client speaks just enough WebSocket to be cheap, since it shares the machine with the server that is measured.
"""

import asyncio
import base64
import json
import os
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

PIECE_MS = 100
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
LATEST_S = 10  # for what is still to come after the audio's end


@dataclass(frozen=True)
class Dialect:
    """How a server is spoken to.

    Attributes:
        path: of its WebSocket.
        hello: first message, or None.
        finish: last message, at the end of the audio.
        read: returns (utterance, text so far) of a message of the server, or None.
        is_end: whether a message is the server's last.
    """

    path: str
    hello: str | None
    finish: str
    read: Callable[[str], tuple[int, str] | None]
    is_end: Callable[[str], bool]


@dataclass
class Heard:
    """What one client was told.

    Attributes:
        sent: when each piece was sent, and at last the audio's end, seconds.
        told: (when, utterance, text) of each message with a text.
        texts: the last text of each utterance.
        ended: when the server's last message came.
    """

    sent: list[float] = field(default_factory=list)
    told: list[tuple[float, int, str]] = field(default_factory=list)
    texts: dict[int, str] = field(default_factory=dict)
    ended: float | None = None


def frame(kind: int, data: bytes) -> bytes:
    """Return a client's frame; its mask is zero, so the bytes stay as they are.

    >>> frame(TEXT, b"ab").hex()
    '8182000000006162'
    """
    size = len(data)
    if size < 126:
        head = struct.pack("!BB", 0x80 | kind, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x80 | kind, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | kind, 0x80 | 127, size)
    return head + bytes(4) + data


def take_frame(data: bytearray) -> tuple[int, bytes] | None:
    """Take a server's frame from the beginning of what was received; None where it is not whole yet.

    >>> received = bytearray(b"\\x81\\x02hi\\x81")
    >>> take_frame(received), take_frame(received), bytes(received)
    ((1, b'hi'), None, b'\\x81')
    """
    if len(data) < 2:
        return None
    at, size = 2, data[1] & 127
    if size >= 126:
        width = 2 if size == 126 else 8
        size, at = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
    if len(data) < at + size:
        return None
    kind, payload = data[0] & 15, bytes(data[at : at + size])
    del data[: at + size]
    return kind, payload


class Client(asyncio.Protocol):
    """One client; ``done`` is set when the server has said its last."""

    def __init__(self, dialect: Dialect, pieces: Sequence[bytes], host: str):
        self._dialect, self._pieces, self._host = dialect, pieces, host
        self._received, self._open = bytearray(), False
        self._loop = asyncio.get_running_loop()
        self.heard, self.done = Heard(), self._loop.create_future()

    def connection_made(self, transport) -> None:
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET {self._dialect.path} HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )

    def connection_lost(self, exc) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._received += data
        if not self._open:
            head, found, rest = bytes(self._received).partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head.split(b"\r\n")[0]:
                self._transport.close()
                return
            self._open, self._received = True, bytearray(rest)
            if self._dialect.hello is not None:
                self._transport.write(frame(TEXT, self._dialect.hello.encode()))
            self._start = self._loop.time()
            self._send()
        while taken := take_frame(self._received):
            self._take(*taken, now)

    def _take(self, kind: int, payload: bytes, now: float) -> None:
        if kind == PING:
            self._transport.write(frame(PONG, payload))
        elif kind == CLOSE:
            self._transport.close()
        elif kind == TEXT:
            text = payload.decode()
            if (found := self._dialect.read(text)) is not None:
                self.heard.told.append((now, *found))
                self.heard.texts[found[0]] = found[1]
            if self._dialect.is_end(text):
                self.heard.ended = now
                self._transport.close()

    def _send(self) -> None:
        """Send the next piece, when a microphone would have it."""
        if self._transport.is_closing():
            return
        number = len(self.heard.sent)
        if number < len(self._pieces):
            self._transport.write(frame(BINARY, self._pieces[number]))
            self.heard.sent.append(time.perf_counter())
            self._loop.call_at(self._start + (number + 1) * PIECE_MS / 1000, self._send)
        else:
            self._transport.write(frame(TEXT, self._dialect.finish.encode()))
            self.heard.sent.append(time.perf_counter())


async def load(dialect: Dialect, port: int, audio: Sequence[Sequence[bytes]], streams: int) -> list[Heard]:
    """Let clients speak, all of them within a chunk's time of each other, and return what each was told.

    Args:
        dialect: of the server.
        port: on this machine.
        audio: pieces of each recording; client n has recording n % len(audio).
        streams: how many clients.
    """
    loop, host = asyncio.get_running_loop(), "127.0.0.1"
    clients = []
    for number in range(streams):
        pieces = audio[number % len(audio)]
        _, client = await loop.create_connection(partial(Client, dialect, pieces, f"{host}:{port}"), host, port)
        clients.append(client)
        await asyncio.sleep(2.0 / streams)  # chunks of all streams at once would be a measurement of luck
    seconds = max(map(len, audio)) * PIECE_MS / 1000 + LATEST_S
    await asyncio.wait([client.done for client in clients], timeout=seconds)
    for client in clients:
        client._transport.abort()
    return [client.heard for client in clients]


def delays_ms(heard: Heard, first: dict[tuple[int, str], int]) -> list[float]:
    """Return how long after the piece that made it possible each text came, ms.

    Args:
        heard: what a client was told.
        first: number of the piece with which each (utterance, text) comes where nothing else is to do.
    """
    found, seen = [], set()
    for when, utterance, text in heard.told:
        piece = first.get((utterance, text))
        if piece is not None and (utterance, text) not in seen and piece < len(heard.sent):
            found.append(1000 * (when - heard.sent[piece]))
        seen.add((utterance, text))
    return found


def read_dualmode(text: str) -> tuple[int, str] | None:
    """Read a message of dualmode serve."""
    message = json.loads(text)
    return (message["utterance"], message["text"]) if message["type"] in ("partial", "final") else None


def read_sherpa(text: str) -> tuple[int, str] | None:
    """Read a message of sherpa-onnx-online-websocket-server."""
    if text == SHERPA_END:
        return None
    message = json.loads(text)
    return (message["segment"], " ".join(message["text"].split())) if message["text"] else None


SHERPA_END = "Done!"
DUALMODE = Dialect(
    "/v1/stream",
    '{"sample_rate": 16000, "format": "f32le", "silence_ms": 1200, "second_pass": false}',
    '{"type": "finish"}',
    read_dualmode,
    lambda text: '"type":"end"' in text,
)
SHERPA = Dialect("/", None, "Done", read_sherpa, lambda text: text == SHERPA_END)
