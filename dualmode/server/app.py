"""The routes of the server, behind the guard."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from dualmode.server.errors import Refused, failure
from dualmode.server.guard import PUBLIC, PUBLIC_BELOW
from dualmode.server.page import page_routes
from dualmode.server.state import State
from dualmode.server.stream_socket import stream_socket
from dualmode.server.transcriptions import models, transcriptions


class GuardMiddleware:
    """Lets in what the guard of the server lets in; a stream shows its token later, in its first message."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        state: State = scope["app"].state.server
        headers = Headers(scope=scope)
        refusal = state.guard.refusal(headers)
        if refusal is None and scope["type"] == "http" and not _is_public(scope["path"]):
            refusal = None if state.guard.knows_bearer(headers.get("authorization")) else "token"
        if refusal is None:
            return await self._app(scope, receive, send)
        state.metrics.count("refused_total", reason=refusal)
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})  # before it is accepted: status 403
        await _refused(refusal).response()(scope, receive, send)


def _is_public(path: str) -> bool:
    return path in PUBLIC or path.startswith(PUBLIC_BELOW)


def _refused(why: str) -> Refused:
    if why == "host":
        return Refused(403, "this server is not known by that name: start it with --allow-host NAME", code="host")
    if why == "origin":
        return Refused(403, "pages of other origins may not use this server: --allow-origin names some", code="origin")
    return Refused(401, "the token is missing, or another one is wanted: Authorization: Bearer ...", code="token")


async def _health(request: Request) -> Response:
    stopping = request.app.state.server.stopping
    return JSONResponse({"status": "stopping" if stopping else "ok"}, 503 if stopping else 200)


async def _metrics(request: Request) -> Response:
    return PlainTextResponse(request.app.state.server.metrics.text(), media_type="text/plain; version=0.0.4")


async def _no_socket(request: Request) -> Response:
    raise Refused(426, "/v1/stream is a WebSocket: connect to it as to ws://..., or wss://...")


async def _on_http(request: Request, error: Exception) -> Response:
    """There is no such place, or not by that method."""
    assert isinstance(error, HTTPException)
    return Refused(error.status_code, f"{request.method} {request.url.path}: {error.detail}").response()


async def _on_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return error.response()


async def _on_failure(request: Request, error: Exception) -> Response:
    """Starlette raises the error again behind this answer, and uvicorn logs it."""
    return failure().response()


def make_app(start: Callable[[], State], origins: Iterable[str] = ()) -> Starlette:
    """Return the application.

    Args:
        start: is called in its event loop, and what it returns is ``app.state.server``.
        origins: of pages elsewhere, whose browsers are told that they may read the answers.
    """

    @contextlib.asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        app.state.server = start()
        yield
        app.state.server.close()

    routes = [
        Route("/healthz", _health),
        Route("/metrics", _metrics),
        WebSocketRoute("/v1/stream", stream_socket),
        Route("/v1/stream", _no_socket),
        Route("/v1/models", models),
        Route("/v1/models/{model}", models),
        Route("/v1/audio/transcriptions", transcriptions, methods=["POST"]),
        *page_routes(),
    ]
    middleware = [Middleware(GuardMiddleware)]
    if allowed := sorted(origins):  # before the guard: a browser asks first, and without a token
        # Any header: clients have their own, such as X-Stainless-OS of OpenAI's; what lets in is origin and token.
        shown = Middleware(CORSMiddleware, allow_origins=allowed, allow_methods=["GET", "POST"], allow_headers=["*"])
        middleware.insert(0, shown)
    handlers = {Refused: _on_refused, HTTPException: _on_http, Exception: _on_failure}
    return Starlette(routes=routes, middleware=middleware, exception_handlers=handlers, lifespan=life)
