"""Faults of the server itself, which no client should be able to cause."""

from types import SimpleNamespace

import pytest

from dualmode.server import transcriptions

testclient = pytest.importorskip("starlette.testclient", reason="dualmode[server] is not installed")


def test_a_fault_of_the_server_is_json_and_counted(monkeypatch):
    from dualmode.server.app import make_app
    from dualmode.server.guard import make_guard
    from dualmode.server.limits import Limits
    from dualmode.server.state import start

    def broken(*_):
        raise RuntimeError("a secret")

    monkeypatch.setattr(transcriptions, "recording_pieces", broken)
    served = SimpleNamespace(dense=None, name="m")
    app = make_app(lambda: start(served, Limits(), make_guard("127.0.0.1", None, [], []), 1))
    with testclient.TestClient(app, "http://127.0.0.1", raise_server_exceptions=False) as client:
        for number in (1, 2):
            data = {"model": "sparse", "stream": "true" if number == 2 else "false"}
            answer = client.post("/v1/audio/transcriptions", data=data, files={"file": ("a.wav", b"RIFF")})
            error = answer.json()["error"]
            assert answer.status_code == 500 and "a secret" not in answer.text
            assert (error["type"], error["code"]) == ("server_error", "internal_error")
            told = client.get("/metrics").text.splitlines()
            assert f'dualmode_requests_total{{status="500"}} {number}' in told and "dualmode_requests 0" in told
