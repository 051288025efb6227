"""Who may ask: names that the server is reached by, origins of pages, and the token.

A page of another site may send requests to this machine from its visitor's browser, and by a name that it points here
(DNS rebinding) it could even read the answers.  So the Host must be an address, or a name that is known to be ours, and
an Origin, which browsers add, must be that of our own page.
"""

import hmac
import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from dualmode.errors import UserError

SHORTEST_TOKEN = 16
# Without a token: the page, which asks for it, and whether the server is there.
PUBLIC, PUBLIC_BELOW = ("/", "/healthz", "/engine.js", "/wasm.js", "/dualmode.wasm"), "/page/"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server on ``host``.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _as_bytes(token: str) -> bytes:
    """Return any text as bytes: JSON of a client may hold what is no Unicode."""
    return token.encode("utf-8", "surrogatepass")


@dataclass(frozen=True)
class Guard:
    """What is let in.

    Attributes:
        names: by which the server is reached, besides addresses, localhost and the machine's own name.
        origins: of pages elsewhere that may use it, such as "https://example.org".
        token: that has to be shown; None asks for none.
    """

    names: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    token: str | None = field(default=None, repr=False)

    def refusal(self, headers: Mapping[str, str]) -> str | None:
        """Return "host" or "origin", whichever a request's headers are refused for, or None."""
        host = headers.get("host", "")
        if not self._is_ours(host):
            return "host"
        origin = headers.get("origin")
        if origin is None or origin in self.origins:
            return None
        try:
            parts = urlsplit(origin)
        except ValueError:
            return "origin"
        return None if parts.scheme in ("http", "https") and parts.netloc == host else "origin"

    def knows(self, token: str | None) -> bool:
        """Whether the token is the right one, or none is wanted; it takes as long for every wrong one."""
        return self.token is None or hmac.compare_digest(_as_bytes(token or ""), _as_bytes(self.token))

    def knows_bearer(self, header: str | None) -> bool:
        """The same for the value of an Authorization header."""
        kind, _, token = (header or "").partition(" ")
        return self.knows(token.strip() if kind.lower() == "bearer" else None)

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)
            return True
        except ValueError:
            return name in {"localhost", socket.gethostname().lower()} | self.names


def make_guard(host: str, token: str | None, names: Iterable[str], origins: Iterable[str]) -> Guard:
    """Return the guard of a server on ``host``.

    Raises:
        UserError: others could reach it without a token, that is too short, or no request has such a name or origin.
    """
    if token is None and not is_loopback(host):
        raise UserError(
            f"--host {host} is reached from elsewhere, so it needs a token: put one of {SHORTEST_TOKEN} characters or "
            "more into a file, --token-file FILE, or into the variable DUALMODE_TOKEN"
        )
    if token is not None and (len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable()):
        raise UserError(f"the token must be {SHORTEST_TOKEN} or more plain characters: openssl rand -hex 16 makes one")
    names, origins = list(names), list(origins)
    for name in names:
        if not re.fullmatch(r"[\w.-]+", name, re.ASCII):
            raise UserError(f"--allow-host {name}: it must be a name alone, such as speech.example.org")
    for origin in origins:
        if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@A-Z*\s]+", origin):
            raise UserError(f"--allow-origin {origin}: it must be as browsers send it, such as https://example.org")
    return Guard(frozenset(name.lower() for name in names), frozenset(origins), token)
