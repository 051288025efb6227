"""Errors of the HTTP interface, in the shape of OpenAI's."""

from starlette.responses import JSONResponse, Response

KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error", 503: "overloaded_error"}
HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 426: {"Upgrade": "websocket"}, 503: {"Retry-After": "5"}}


class Refused(Exception):
    """A request that is answered with an error.

    Attributes:
        status: of HTTP.
        message: one sentence.
        param: the parameter that is wrong.
        code: a word for programs.
    """

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None):
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code

    @property
    def body(self) -> dict:
        kind = KINDS.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> Response:
        return JSONResponse(self.body, self.status, HEADERS.get(self.status))


def failure() -> Refused:
    """Return what a client is told of a fault of the server; what it was is in the server's log alone."""
    return Refused(500, "the server failed at this request: its log says why", code="internal_error")
