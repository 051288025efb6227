"""The page of the WebAssembly engine, with the server's model, under a strict Content-Security-Policy."""

import json
import re

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dualmode.device.build_wasm import WASM
from dualmode.server.state import State

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; "
    "connect-src {sources}; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".wasm": "application/wasm"}
FILES = ("engine.js", "wasm.js", "dualmode.wasm")  # and what is in page/
PLACE = '<meta name="server" content="">'


def policy(host: str) -> str:
    """Return the page's policy; to some browsers a WebSocket of the same host is not 'self'.

    >>> policy("localhost:8800").split("; ")[4]
    "connect-src 'self' ws://localhost:8800 wss://localhost:8800"
    """
    plain = re.fullmatch(r"[\w.:\[\]-]+", host)
    return POLICY.format(sources=f"'self' ws://{host} wss://{host}" if plain else "'self'")


def page_routes() -> list[Route]:
    """Return the routes of the page; each file is read once."""
    page = sorted(path for path in (WASM / "page").iterdir() if path.suffix in TYPES)
    paths = {f"/page/{path.name}": path for path in page} | {f"/{name}": WASM / name for name in FILES}
    files = {place: (path.read_bytes(), TYPES[path.suffix]) for place, path in paths.items()}

    async def send(request: Request) -> Response:
        data, kind = files[request.url.path]
        headers = {**HEADERS, "Content-Security-Policy": policy(request.headers["host"])}  # workers have their own
        return Response(data, media_type=kind, headers=headers)

    async def index(request: Request) -> Response:
        data, kind = files["/page/index.html"]
        state: State = request.app.state.server
        about = {"token": state.guard.token is not None, "second_pass": state.second_pass is not None}
        told = PLACE.replace('""', f"'{json.dumps(about)}'")
        headers = {**HEADERS, "Content-Security-Policy": policy(request.headers["host"])}
        return Response(data.replace(PLACE.encode(), told.encode()), media_type=kind, headers=headers)

    async def model(request: Request) -> Response:
        state: State = request.app.state.server
        return Response(state.served.file, media_type="application/octet-stream", headers=HEADERS)

    routes = [Route(place, send) for place in files if place != "/page/index.html"]
    routes += [Route("/", lambda _: RedirectResponse("/page/")), Route("/page/", index), Route("/model.dmdl", model)]
    return routes
