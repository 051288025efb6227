"""Connections that uvicorn would keep for ever: too many of them, and those that ask for nothing."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

from dualmode.server.limits import Limits


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
