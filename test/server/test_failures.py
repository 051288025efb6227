"""Faults of the server itself, which no client should be able to cause, and clients that do not wait."""

from types import SimpleNamespace

import numpy as np
import pytest

from dualmode.server import transcriptions

testclient = pytest.importorskip("starlette.testclient", reason="dualmode[server] is not installed")


@pytest.fixture
def client():
    """A client of a server without a model."""
    from dualmode.server.app import make_app
    from dualmode.server.guard import make_guard
    from dualmode.server.limits import Limits
    from dualmode.server.state import start

    served = SimpleNamespace(dense=None, name="m")
    app = make_app(lambda: start(served, Limits(), make_guard("127.0.0.1", None, [], []), 1))
    with testclient.TestClient(app, "http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


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


def test_an_upload_whose_client_has_gone_leaves_its_place(client, monkeypatch):
    heard = []

    def pieces(*_):
        try:
            for number in range(1000):
                heard.append(number)
                yield SimpleNamespace(end_ms=number, samples=np.zeros(160, dtype=np.float32))
        finally:
            heard.append("closed")

    async def recognise(*_):
        return SimpleNamespace(text="a")

    monkeypatch.setattr(transcriptions, "recording_pieces", pieces)
    monkeypatch.setattr(transcriptions, "recognise_sparse", recognise)
    request = client.build_request(
        "POST", "/v1/audio/transcriptions", data={"model": "sparse"}, files={"file": ("a.wav", b"RIFF")}
    )
    told = [{"type": "http.request", "body": request.read(), "more_body": False}]
    scope = {
        **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http"},
        **{"path": request.url.path, "raw_path": request.url.raw_path, "query_string": b"", "root_path": ""},
        **{
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        },
        **{"extensions": {}, "state": {}},
    }

    async def receive():
        return told.pop() if told else {"type": "http.disconnect"}

    async def send(_):
        pass

    client.portal.call(client.app, scope, receive, send)
    assert heard == [0, "closed"]
    metrics = client.get("/metrics").text.splitlines()
    assert 'dualmode_requests_total{status="499"} 1' in metrics and "dualmode_requests 0" in metrics
