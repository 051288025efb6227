"""Connections without a network: what ends them where the client does nothing more."""

import asyncio

import pytest

from dualmode.server.limits import Limits

uvicorn = pytest.importorskip("uvicorn", reason="dualmode[server] is not installed: tools/setup.sh --with-server")

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
KEY = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


class Stuck(asyncio.Transport):
    """A connection whose client reads nothing: closed, it stays until it is aborted."""

    def __init__(self):
        super().__init__()
        self.sent, self.closing, self.aborted = b"", False, asyncio.Event()

    def write(self, data):
        self.sent += data

    def close(self):
        self.closing = True

    def is_closing(self):
        return self.closing

    def abort(self):
        self.aborted.set()

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


async def closing(scope, receive, send):
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 1000})


def cut_off(head: bytes) -> bytes:
    """Return what a client was sent that began with this, once it was cut off."""
    from uvicorn.server import ServerState

    from dualmode.server.connections import protocols

    async def run():
        websocket = protocols(Limits(send_s=1))[1](uvicorn.Config(closing), ServerState(), {})
        websocket.close_timeout = 0
        websocket.connection_made(transport := Stuck())
        websocket.data_received(head + b"\r\n")
        await asyncio.wait_for(transport.aborted.wait(), 60)
        websocket.connection_lost(ConnectionAbortedError())
        return transport.sent

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (HEAD + KEY, 101),
        (HEAD, 400),  # without a key
        (HEAD + KEY + b"Cookie: " + b"a" * 9000 + b"\r\n", 400),  # longer than websockets reads
        ((HEAD + KEY).replace(b"GET", b"POST"), 400),
    ],
)
def test_a_client_that_leaves_the_last_words_unread_is_cut_off(head, status):
    assert cut_off(head).startswith(b"HTTP/1.1 %d " % status)
