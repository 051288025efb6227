"""Connections: those that uvicorn would keep for ever, and the shortest way of a stream's audio."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from dualmode.server.limits import Limits

TAKES = "takes_audio"  # in a connection's state: what takes a message of audio, or says that it cannot now


class Direct(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, in which audio goes to the stream at once, without a queue and a turn of a task.

    What the stream cannot take now goes the usual way, on which nothing more is read until it was taken.
    """

    frames: list[bytes]  # uvicorn's: the parts of the message that came

    def send_receive_event_to_app(self) -> None:
        takes = self.scope["state"].get(TAKES)
        if takes and self.curr_msg_data_type == "bytes" and len(self.frames) == 1 and self.queue.empty():
            if not self.close_sent and takes(self.frames[0]):
                self.frames = []
                return
        super().send_receive_event_to_app()


def bounded(limits: Limits) -> type[H11Protocol]:
    """Return uvicorn's HTTP protocol with a bound on connections, and on the time until a request's head is there."""

    class Bounded(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport) -> None:
            super().connection_made(transport)
            if len(self.connections) > limits.max_connections:
                transport.abort()
            else:
                self._wait_for_head()

        def connection_lost(self, exc) -> None:
            self._head_is_there()
            super().connection_lost(exc)

        def handle_websocket_upgrade(self, event) -> None:
            self._head_is_there()
            super().handle_websocket_upgrade(event)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._head_is_there()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._wait_for_head()

        def _wait_for_head(self) -> None:
            self._head_is_there()
            self._deadline = self.loop.call_later(limits.handshake_s, self.transport.abort)

        def _head_is_there(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

    return Bounded
