"""Connections: bounds that uvicorn does not have, and the shortest way of a stream's audio."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from dualmode.server.limits import Limits

TAKES = "takes_audio"  # in a connection's state: what takes a message of audio, or says that it cannot now
UNREAD, NO_REQUEST, CLOSED = "unread", "no request", "closed"  # reasons for a deadline
NO_HANDSHAKE = "this is no handshake of a WebSocket that can be read: send a GET without a body, and shorter headers"


def protocols(limits: Limits) -> tuple[type[H11Protocol], type[WebSocketsSansIOProtocol]]:
    """Return uvicorn's HTTP and its WebSocket, with bounds.

    - of connections that are open
    - of the time until a request's head is there
    - of the time for which a client may leave what it is sent unread, the last words of a closed WebSocket as well
    """

    class Timed(asyncio.Protocol):
        """A connection that is cut off at whichever of its deadlines comes first."""

        loop: asyncio.AbstractEventLoop
        transport: asyncio.Transport

        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            self._deadlines: dict[str, asyncio.TimerHandle] = {}

        def cut_off_in(self, seconds: float, why: str) -> None:
            self.no_deadline(why)
            self._deadlines[why] = self.loop.call_later(seconds, self.transport.abort)

        def no_deadline(self, why: str) -> None:
            if handle := self._deadlines.pop(why, None):
                handle.cancel()

        def pause_writing(self) -> None:
            super().pause_writing()
            self.cut_off_in(limits.send_s, UNREAD)

        def resume_writing(self) -> None:
            super().resume_writing()
            self.no_deadline(UNREAD)

        def connection_lost(self, exc) -> None:
            for why in list(self._deadlines):
                self.no_deadline(why)
            super().connection_lost(exc)

    class Http(Timed, H11Protocol):
        def connection_made(self, transport) -> None:
            super().connection_made(transport)
            if len(self.connections) > limits.max_connections:
                transport.abort()
            else:
                self.cut_off_in(limits.handshake_s, NO_REQUEST)

        def handle_websocket_upgrade(self, event) -> None:
            self.no_deadline(NO_REQUEST)
            super().handle_websocket_upgrade(event)

        def data_received(self, data: bytes) -> None:
            answered = self._answered
            super().data_received(data)
            if answered and not self._answered:
                self.no_deadline(NO_REQUEST)

        def on_response_complete(self) -> None:
            self.cut_off_in(limits.handshake_s, NO_REQUEST)
            super().on_response_complete()  # begins what came behind this request: another one, or a WebSocket
            if not self._answered:
                self.no_deadline(NO_REQUEST)

        @property
        def _answered(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

    class WebSocket(Timed, WebSocketsSansIOProtocol):
        """Audio goes to the stream at once, without a queue and a turn of a task.

        What the stream cannot take now goes the usual way, on which nothing more is read until it was taken.
        """

        frames: list[bytes]  # uvicorn's: the parts of the message that came

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.handshake_exc and not self.handshake_complete:  # of which uvicorn says nothing
                self.handshake_complete = True
                self.transport.write(self.conn.reject(400, NO_HANDSHAKE).serialize())
                self.transport.close()
            if self.transport.is_closing():
                self.cut_off_in(limits.send_s, CLOSED)

        def on_task_complete(self, task: asyncio.Task[None]) -> None:
            super().on_task_complete(task)
            if not self.disconnected:  # asyncio closes when all is sent, however long that takes
                self.cut_off_in(self.close_timeout + limits.send_s, CLOSED)

        def send_receive_event_to_app(self) -> None:
            if self.curr_msg_data_type == "text" and not self.close_sent and not _is_utf8(b"".join(self.frames)):
                self.conn.fail(1007, "a text message must be UTF-8")  # uvicorn would log a traceback
                return self.handle_parser_exception()
            takes = self.scope["state"].get(TAKES)
            if takes and self.curr_msg_data_type == "bytes" and len(self.frames) == 1 and self.queue.empty():
                if not self.close_sent and takes(self.frames[0]):
                    self.frames = []
                    return
            super().send_receive_event_to_app()

    return Http, WebSocket


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
