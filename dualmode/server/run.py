"""The server's life: it listens, and at the first signal lets its clients end."""

import asyncio
import contextlib
import os
import resource
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import uvicorn
import uvloop

from dualmode.errors import UserError
from dualmode.server.app import make_app
from dualmode.server.connections import protocols
from dualmode.server.limits import Limits
from dualmode.server.state import State

OTHER_FILES = 100  # open files besides connections
TICK = 0.05  # seconds
LAST_BATCH_S = 0.5  # seconds that the dense sub-network's thread has at the very end


class Loop(uvloop.Loop):
    """uvloop, which gives clients a minute for the handshake of TLS; until then they are no connection that counts."""

    handshake_s: float

    async def create_server(self, *arguments, **options):
        if options.get("ssl"):
            options["ssl_handshake_timeout"] = self.handshake_s
        return await super().create_server(*arguments, **options)


class Server(uvicorn.Server):
    """uvicorn, which would close streams at once: here they end with their text; a second signal does not wait."""

    def __init__(
        self, config: uvicorn.Config, state: Callable[[], State], limits: Limits, started: Callable[[int], None]
    ):
        super().__init__(config)
        self._state, self._limits, self._tell_started = state, limits, started
        self._ending: asyncio.Task | None = None

    def handle_exit(self, sig, frame) -> None:
        if self._ending or not self.started:
            self.should_exit = self.force_exit = True
        else:
            self._loop.call_soon_threadsafe(self._end)

    async def startup(self, sockets=None) -> None:
        self._loop = asyncio.get_running_loop()
        assert isinstance(self._loop, Loop)
        self._loop.handshake_s = self._limits.handshake_s
        await super().startup(sockets)
        self._tell_started(self.servers[0].sockets[0].getsockname()[1])

    def _end(self) -> None:
        if not self._ending:
            self._ending = asyncio.create_task(self._let_clients_end())

    async def _let_clients_end(self) -> None:
        state = self._state()
        print(f"stopping: {len(state.streams)} streams end with their text", file=sys.stderr, flush=True)
        state.stop()
        # Once the time of a second pass, and as much for what comes before and after it.
        deadline = self._loop.time() + 2 * self._limits.stop_s
        while not state.at_rest and self._loop.time() < deadline:
            await asyncio.sleep(TICK)
        state.give_up()  # what is still at work has timeout_graceful_shutdown to say so
        self.should_exit = True


def serve(
    start: Callable[[], State],
    limits: Limits,
    host: str,
    port: int,
    origins: Iterable[str] = (),
    certfile: Path | None = None,
    keyfile: Path | None = None,
) -> None:
    """Serve until a signal comes.

    Args:
        start: makes the server's state, in the event loop.
        limits: of the server.
        host, port: where to listen; port 0 is any free one, which is printed.
        origins: of pages elsewhere that may use it.
        certfile, keyfile: for HTTPS.

    Raises:
        UserError: the port is taken, or certificate and key cannot be used.
    """
    allow_files(limits.max_connections + OTHER_FILES)
    app = make_app(start, origins)
    http, websocket = protocols(limits)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop=f"{__name__}:{Loop.__name__}",
        http=http,
        ws=websocket,
        ws_max_size=1000 * limits.max_message_kb,
        ws_ping_timeout=None,  # a client's answer is behind its audio; who has gone is known by limits.idle_s
        ws_per_message_deflate=False,  # speech does not become smaller, and each client would take memory for it
        lifespan="on",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        ssl_certfile=certfile,
        ssl_keyfile=keyfile,
        h11_max_incomplete_event_size=16384,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise UserError(
            f"{certfile}, {keyfile}: certificate and key cannot be used: {error.strerror or error}"
        ) from None

    def started(at: int) -> None:
        shown = f"[{host}]" if ":" in host else host
        print(f"http{'s' if certfile else ''}://{shown}:{at}/", flush=True)

    server = Server(config, lambda: app.state.server, limits, started)
    try:
        server.run()
    except SystemExit:
        raise UserError(f"{host}:{port} cannot be listened on: another program may have the port") from None
    except KeyboardInterrupt:  # uvicorn repeats the signal that it was ended by
        pass
    state: State = app.state.server
    state.give_up()  # at a second signal nobody has
    if state.second_pass and not state.second_pass.ended(LAST_BATCH_S):
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(0)  # Python would end below PyTorch, which takes that for a fault and aborts


def check_address(host: str, port: int) -> None:
    """Raise UserError unless one can listen there; a model takes its time to load, and this comes before."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise UserError(f"--host {host} --port {port} cannot be listened on: {error.strerror or error}") from None


def allow_files(count: int) -> None:
    """Raise this process's limit of open files to ``count``, each connection being one.

    Raises:
        UserError: the system does not allow so many.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and hard < count:
        raise UserError(f"this system allows {hard} open files: give --max-connections {max(hard - OTHER_FILES, 1)}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
