"""Faults of the server itself, which no client should be able to cause, and clients that do not wait."""

import asyncio
import contextlib
import json
from types import SimpleNamespace

import numpy as np
import pytest

from dualmode.server import transcriptions
from dualmode_runtime.audio.fault import AudioFault, Reason

testclient = pytest.importorskip("starlette.testclient", reason="dualmode[server] is not installed")


ELSEWHERE = "https://app.example"


@pytest.fixture
def client():
    """A client of a server without a model."""
    from dualmode.server.app import make_app
    from dualmode.server.guard import make_guard
    from dualmode.server.limits import Limits
    from dualmode.server.state import start

    served = SimpleNamespace(dense=None, name="m")
    guard = make_guard("127.0.0.1", None, [], [ELSEWHERE])
    app = make_app(lambda: start(served, Limits(), guard, 1, ["whisper-1"]), guard.origins)
    with testclient.TestClient(app, "http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize("charset", ["idna", "unicode_escape", "undefined", "utf-16", "UTF-8"])
def test_texts_of_a_form_are_utf_8(client, charset):
    kind = f"multipart/form-data; boundary=a; charset={charset}"
    body = '--a\r\nContent-Disposition: form-data; name="\\ud800é"\r\n\r\n\\ud800é\r\n--a--\r\n'.encode()
    answer = client.post("/v1/audio/transcriptions", content=body, headers={"Content-Type": kind})
    told = "there is no file" if charset == "UTF-8" else f"the form's charset is {charset!r}: its texts must be UTF-8"
    assert answer.status_code == 400 and answer.json()["error"]["message"] == told


@pytest.mark.parametrize(("origin", "status"), [(ELSEWHERE, 200), ("https://evil.example", 400)])
def test_pages_elsewhere_may_send_the_headers_of_openais_client(client, origin, status):
    asked = "authorization,content-type,x-stainless-os,x-stainless-retry-count"
    headers = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": asked}
    answer = client.options("/v1/audio/transcriptions", headers={"Origin": origin, **headers})
    assert answer.status_code == status and answer.headers["access-control-allow-headers"] == asked
    assert answer.headers.get("access-control-allow-origin") == (origin if status == 200 else None)


def test_a_fault_of_the_server_is_json_and_counted(client, monkeypatch):
    def broken(*_):
        raise RuntimeError("a secret")

    monkeypatch.setattr(transcriptions, "recording_pieces", broken)
    for number in (1, 2):
        data = {"model": "sparse", "stream": "true" if number == 2 else "false"}
        answer = client.post("/v1/audio/transcriptions", data=data, files={"file": ("a.wav", b"RIFF")})
        error = answer.json()["error"]
        assert answer.status_code == 500 and "a secret" not in answer.text
        assert (error["type"], error["code"]) == ("server_error", "internal_error")
        told = client.get("/metrics").text.splitlines()
        assert f'dualmode_requests_total{{status="500"}} {number}' in told and "dualmode_requests 0" in told


@pytest.fixture
def pieces(monkeypatch):
    """Two pieces of a recording, the second of which is what a test puts in; [what was heard]."""
    heard: list = []

    def say(second: Exception | None):
        def pieces(*_):
            try:
                for number in range(1000):
                    if number == 1 and second is not None:
                        raise second
                    heard.append(number)
                    yield SimpleNamespace(end_ms=number, samples=np.zeros(160, dtype=np.float32))
            finally:
                heard.append("closed")

        async def recognise(*_):
            return SimpleNamespace(text="a")

        monkeypatch.setattr(transcriptions, "recording_pieces", pieces)
        monkeypatch.setattr(transcriptions, "recognise_sparse", recognise)
        return heard

    return say


def upload(client, stream: str, stays: bool) -> bytes:
    """Send an upload as uvicorn would, of a client that waits or has gone; return the body that it is answered with."""
    data = {"model": "sparse", "stream": stream}
    request = client.build_request("POST", "/v1/audio/transcriptions", data=data, files={"file": ("a.wav", b"RIFF")})
    told, bodies = [{"type": "http.request", "body": request.read(), "more_body": False}], []
    scope = {
        **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http"},
        **{"path": request.url.path, "raw_path": request.url.raw_path, "query_string": b"", "root_path": ""},
        **{"headers": [(name.lower(), value) for name, value in request.headers.raw], "client": ("127.0.0.1", 1)},
        **{"server": ("127.0.0.1", 80), "extensions": {}, "state": {}},
    }

    async def receive():
        if not told and stays:
            await asyncio.sleep(60)
        return told.pop() if told else {"type": "http.disconnect"}

    async def send(message):
        bodies.append(message.get("body", b""))

    with contextlib.suppress(RuntimeError):  # which uvicorn would log
        client.portal.call(client.app, scope, receive, send)
    return b"".join(bodies)


@pytest.mark.parametrize(
    ("wrong", "status", "said"),
    [
        (AudioFault(Reason.UNDECODABLE, "it ends here"), 400, "it ends here"),
        (RuntimeError("a secret"), 500, "the server failed"),
    ],
)
def test_what_goes_wrong_after_the_first_piece_is_an_event(client, pieces, wrong, status, said):
    heard = pieces(wrong)
    answer = upload(client, "true", stays=True).decode()
    delta, error = [json.loads(line.removeprefix("data: ")) for line in answer.splitlines() if line]
    assert "a secret" not in answer and heard == [0, "closed"]
    assert delta == {"type": "transcript.text.delta", "delta": "a"}
    assert error["type"] == "error" and said in error["error"]["message"]
    told = client.get("/metrics").text.splitlines()
    assert f'dualmode_requests_total{{status="{status}"}} 1' in told and "dualmode_requests 0" in told


@pytest.mark.parametrize("stream", ["false", "true"])
def test_an_upload_that_is_too_long_for_a_server_that_stops_is_refused(client, pieces, monkeypatch, stream):
    heard = pieces(None)
    state = client.app.state.server

    async def recognise(*_):
        state.late = True  # while the first piece is heard
        return SimpleNamespace(text="a")

    monkeypatch.setattr(transcriptions, "recognise_sparse", recognise)
    answer = upload(client, stream, stays=True).decode()
    error = json.loads(answer.strip().splitlines()[-1].removeprefix("data: "))["error"]
    assert (error["code"], error["type"]) == ("stopping", "overloaded_error") and heard == [0, 1, "closed"]
    assert 'dualmode_requests_total{status="503"} 1' in client.get("/metrics").text.splitlines()


@pytest.mark.parametrize("stream", ["false", "true"])
def test_an_upload_whose_client_has_gone_leaves_its_place(client, pieces, stream):
    heard = pieces(None)
    upload(client, stream, stays=False)
    assert heard[0] == 0 and heard[-1] == "closed" and len(heard) < 100
    told = client.get("/metrics").text.splitlines()
    assert 'dualmode_requests_total{status="499"} 1' in told and "dualmode_requests 0" in told


def test_what_a_client_that_has_gone_asked_for_ends_also_while_it_is_recognised(client, monkeypatch):
    closed, held, begun = [], [], []

    def pieces(*_):
        def one():
            try:
                while True:
                    yield SimpleNamespace(end_ms=0, samples=np.zeros(160, dtype=np.float32))
            finally:
                closed.append(True)

        held.append(one())  # so that nothing but its close ends it
        return held[0]

    async def recognise(*_):
        if begun:
            await asyncio.sleep(60)
        begun.append(True)
        return SimpleNamespace(text="a")

    monkeypatch.setattr(transcriptions, "recording_pieces", pieces)
    monkeypatch.setattr(transcriptions, "recognise_sparse", recognise)
    upload(client, "true", stays=False)
    assert closed == [True]
    assert "dualmode_requests 0" in client.get("/metrics").text.splitlines()
