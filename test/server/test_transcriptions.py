"""OpenAI's client and curl against a real server, with both sub-networks of a tiny supernet."""

import asyncio
import contextlib
import json
import re
import shlex
import shutil
import socket as sockets
import ssl
import subprocess
import sys
import time
import urllib.request
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dualmode.device.pack import pack
from dualmode.export.runtimes import DeviceEngine
from dualmode.models.folder import ModelFolder
from dualmode.recognizer import Recognizer
from dualmode.server.protocol import Hello
from dualmode_runtime.formats import srt, vtt

from .conftest import MODEL, converse, finals, pcm

ROOT = Path(__file__).parents[2]
openai = pytest.importorskip("openai", reason="PyPI's openai is not installed: tools/setup.sh --with-tests")


@pytest.fixture(scope="module")
def both(serve, ctc_dir):
    with serve("--alias", "whisper-1", "--max-upload-mb", 2, "--max-recording-s", 60, model=ctc_dir) as one:
        yield one


@pytest.fixture(scope="module")
def client(both):
    return openai.OpenAI(base_url=f"{both.url}v1", api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def dense(ctc_dir):
    return Recognizer.from_pretrained(ctc_dir, "dense")


@pytest.fixture
def wav(tmp_path, noise):
    path = tmp_path / "speech.wav"
    soundfile.write(path, noise(3.1, 1), 16000)
    return path


def ask(client, path, model="dense", **options):
    with open(path, "rb") as file:
        return client.audio.transcriptions.create(model=model, file=file, **options)


def test_openais_client_gets_both_sub_networks(client, dense, ctc_dir, wav, tmp_path):
    device = tmp_path / "sparse.dmdl"
    opened = ModelFolder.open(ctc_dir)
    device.write_bytes(pack(opened.load(opened.choose()), "int8"))
    samples = soundfile.read(wav, dtype="float32")[0]
    assert [model.id for model in client.models.list()] == ["dense", "sparse", "whisper-1"]
    assert client.models.retrieve("sparse").owned_by == client.models.retrieve("whisper-1").owned_by == "model"
    expected = dense.transcribe(wav)
    assert ask(client, wav).text == ask(client, wav, "whisper-1").text == expected.text != ""
    assert ask(client, wav, "sparse").text == DeviceEngine(device).transcribe(samples)


def test_all_formats(client, dense, wav):
    expected = dense.transcribe(wav)
    assert ask(client, wav, response_format="text") == expected.text + "\n"
    assert ask(client, wav, response_format="srt") == srt(None, expected)
    assert ask(client, wav, response_format="vtt") == vtt(None, expected)
    told = ask(client, wav, response_format="verbose_json", timestamp_granularities=["word", "segment"], language="en")
    assert (told.text, told.language, told.duration) == (expected.text, "en", 3.1)
    assert [(word.word, word.start) for word in told.words] == [
        (word.text, word.start_ms / 1000) for word in expected.words
    ]
    assert " ".join(segment.text for segment in told.segments) == expected.text
    assert ask(client, wav, response_format="verbose_json").words is None


def test_longer_recordings_stream_piece_by_piece(client, dense, tmp_path, noise):
    path = tmp_path / "long.flac"
    soundfile.write(path, np.concatenate([noise(20, 2), np.zeros(16000), noise(20, 3)]), 16000)
    expected = dense.transcribe(path).text
    events = list(ask(client, path, stream=True))
    assert [one.type for one in events[:-1]] == ["transcript.text.delta"] * (len(events) - 1) and len(events) > 2
    assert "".join(one.delta for one in events[:-1]) == events[-1].text == expected
    assert ask(client, path).text == expected


@pytest.mark.parametrize(
    ("options", "status", "said", "param"),
    [
        ({"model": "whisper-2"}, 404, "there are: dense, sparse, whisper-1", "model"),
        ({"model": ""}, 400, "there is no model", "model"),
        ({"response_format": "yaml"}, 400, "must be one of json, text", "response_format"),
        ({"response_format": "srt", "stream": True}, 400, "needs response_format json or text", "stream"),
        ({"timestamp_granularities": ["word"]}, 400, "need response_format verbose_json", "timestamp_granularities"),
        ({"extra_body": {"known_speaker_names": ["a"]}}, 400, "is not supported here", None),
    ],
)
def test_mistakes_are_told_in_openais_shape(client, wav, options, status, said, param):
    with pytest.raises(openai.APIStatusError) as error:
        ask(client, wav, **options)
    assert error.value.status_code == status and said in error.value.message
    assert param in (None, error.value.param)


def test_files_that_are_none(client, tmp_path, noise):
    cases = {"a.txt": b"no audio", "empty.wav": b"", "cut.wav": None, "../../x.wav": b"RIFF"}
    soundfile.write(tmp_path / "cut.wav", noise(2), 16000)
    cases["cut.wav"] = (tmp_path / "cut.wav").read_bytes()[:9000]
    for name, data in cases.items():
        with pytest.raises(openai.BadRequestError, match="the file") as error:
            client.audio.transcriptions.create(model="dense", file=(name, data))
        assert "/tmp" not in error.value.message and error.value.param == "file"


def test_a_stream_that_is_asked_for_by_http(server):
    status, body = curl(server, f"{server.url}v1/stream")
    assert status == 426 and "/v1/stream is a WebSocket" in body


def curl(server, *arguments) -> tuple[int, str]:
    if not shutil.which("curl"):
        pytest.skip("there is no curl")
    command = ["curl", "-sS", "-w", "\n%{http_code}", *map(str, arguments)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    body, _, status = output.rpartition("\n")
    return int(status), body


def test_curl_and_uploads_that_are_too_large(both, dense, wav, tmp_path):
    place = f"{both.url}v1/audio/transcriptions"
    status, body = curl(both, place, "-F", f"file=@{wav}", "-F", "model=dense", "-F", "prompt=names")
    assert status == 200 and json.loads(body)["text"] == dense.transcribe(wav).text
    large = tmp_path / "large.wav"
    soundfile.write(large, np.zeros(1_100_000, np.int16), 16000)
    for header in ("Expect:", "Transfer-Encoding: chunked"):
        status, body = curl(both, place, "-F", f"file=@{large}", "-F", "model=dense", "-H", header)
        assert status == 413 and "larger than 2 MB" in json.loads(body)["error"]["message"]
    soundfile.write(large, np.zeros(500_000, np.int16), 8000)
    status, body = curl(both, place, "-F", f"file=@{large}", "-F", "model=sparse")
    assert status == 413 and "longer than 60 s" in body
    assert curl(both, place)[0] == 405 and "no/where" in curl(both, f"{both.url}no/where")[1]
    assert curl(both, place, "-d", "model=dense")[0] == 400
    assert curl(both, place, "-X", "POST", "-H", "Content-Type: multipart/form-data", "-d", "x")[0] == 400
    assert curl(both, place, "-F", "model=dense")[0] == 400
    part = b"--x\r\nContent-Disposition: form-data; name="
    body = part + b'"model"\r\n\r\ndense\r\n' + part + b'"file"; filename="audio.webm"\r\n\r\n'
    body += wav.read_bytes() + b"\r\n--x--\r\n"  # a name that is wrong
    (tmp_path / "body").write_bytes(body)
    header = "Content-Type: multipart/form-data; boundary=x"
    status, body = curl(both, place, "--data-binary", f"@{tmp_path / 'body'}", "-H", header)
    assert status == 200 and json.loads(body)["text"] == dense.transcribe(wav).text


def test_containers_by_ffmpeg(both, client, wav, tmp_path):
    if not shutil.which("ffmpeg"):
        pytest.skip("there is no ffmpeg")
    m4a = tmp_path / "speech.m4a"
    subprocess.run(["ffmpeg", "-v", "error", "-i", wav, m4a], check=True)
    for name in ("speech.m4a", "blob"):
        assert client.audio.transcriptions.create(model="dense", file=(name, m4a.read_bytes())).text


@pytest.mark.slow
def test_without_ffmpeg_it_is_named(serve):
    with serve(PATH="/nonexistent") as server:
        client = openai.OpenAI(base_url=f"{server.url}v1", api_key="none", max_retries=0)
        with pytest.raises(openai.BadRequestError, match="'a.webm' needs ffmpeg, which is not installed"):
            client.audio.transcriptions.create(model="sparse", file=("a.webm", b"\x1aE\xdf\xa3" + bytes(100)))


def test_the_token_is_asked_for(serve, wav):
    with serve("--host", "0.0.0.0", DUALMODE_TOKEN="0123456789abcdef") as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        for place in ("v1/models", "metrics", "model.dmdl", "nowhere"):
            status, body = curl(server, f"{url}{place}")
            assert status == 401 and json.loads(body)["error"]["type"] == "authentication_error"
            assert curl(server, f"{url}{place}", "-H", "Authorization: Basic 0123456789abcdef")[0] == 401
        _, head = curl(server, f"{url}page/", "-D", "-", "-o", "/dev/null")
        assert f"connect-src 'self' ws://{url.split('/')[2]} wss" in head and "default-src 'none'" in head
        for place in ("", "page/", "page/page.js", "engine.js", "healthz"):
            assert curl(server, f"{url}{place}")[0] in (200, 307)
        assert curl(server, f"{url}v1/models", "-H", "Authorization: Bearer 0123456789abcdef")[0] == 200
        assert curl(server, f"{url}v1/models", "-H", "Host: evil.example")[0] == 403
        with pytest.raises(openai.AuthenticationError):
            ask(openai.OpenAI(base_url=f"{url}v1", api_key="wrong", max_retries=0), wav)
        right = openai.OpenAI(base_url=f"{url}v1", api_key="0123456789abcdef", max_retries=0)
        assert ask(right, wav, "sparse") is not None
        assert "plain text" in server.stop()


def test_streams_have_a_second_pass(both, dense, noise):
    samples = noise(2.5, 4)

    async def once(**hello):
        async with both.connect() as socket:
            return await converse(socket, pcm(samples, "f32le"), format="f32le", silence_ms=60000, **hello)

    async def many():
        return await asyncio.gather(*(once() for _ in range(12)), once(second_pass=False))

    *found, without = asyncio.run(asyncio.wait_for(many(), 60))
    for messages in found:
        [final] = [one for one in messages if one["type"] == "final"]
        [second] = [one for one in messages if one["type"] == "second_pass"]
        assert messages[0]["second_pass"] and second["utterance"] == final["utterance"] == 0
        assert second["text"] == dense.transcribe(samples, 16000).text and second["delay_ms"] > 0
        assert " ".join(word["text"] for word in second["words"]) == second["text"]
    assert "second_pass" not in [one["type"] for one in without] and finals(without) == finals(found[0])
    metrics = urllib.request.urlopen(f"{both.url}metrics").read().decode()
    assert 'dualmode_second_pass_total{outcome="done"} 12' in metrics


def test_a_request_that_is_begun_and_left_takes_no_place(both, client, wav):
    host = both.url.split("/")[2]
    for _ in range(20):  # of 8 at once
        with sockets.create_connection(tuple(host.split(":")), timeout=60) as raw:
            raw.sendall(
                f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: {host}\r\nContent-Length: 999\r\n"
                "Content-Type: multipart/form-data; boundary=a\r\n\r\n--a\r\n".encode()
            )
    assert ask(client, wav).text


@pytest.mark.slow
def test_pages_elsewhere_that_are_allowed(serve, wav):
    origin = "https://app.example"
    with serve("--allow-origin", origin, DUALMODE_TOKEN="0123456789abcdef") as server:
        place, told = f"{server.url}v1/models", ("-D", "-", "-o", "/dev/null")
        asks = ("-X", "OPTIONS", "-H", "Access-Control-Request-Method: GET")
        asks += ("-H", "Access-Control-Request-Headers: authorization")
        shown = ("-H", "Authorization: Bearer 0123456789abcdef")
        posts = [word.replace("GET", "POST") for word in asks]
        for words, status in ((asks, 200), (posts, 200), (shown, 200), ((), 401)):
            code, head = curl(server, place, *told, "-H", f"Origin: {origin}", *words)
            assert code == status and f"access-control-allow-origin: {origin}" in head.lower()
        code, head = curl(server, place, *told, "-H", "Origin: https://evil.example", *shown)
        assert code == 403 and "access-control-allow-origin" not in head.lower()


@pytest.mark.slow
def test_the_how_to_page(both, dense, wav):
    """Its programs and its curl, as they are printed, but for the address."""
    page = (
        (ROOT / "docs" / "how-to" / "serve.md").read_text(encoding="utf-8").replace("http://127.0.0.1:8800/", both.url)
    )
    page = page.replace("ws://127.0.0.1:8800/v1/stream", both.ws)
    stream, upload = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    [command] = [line for line in page.splitlines() if line.startswith("curl ")]
    told = [
        subprocess.run(words, capture_output=True, text=True, check=True, cwd=wav.parent).stdout
        for words in ([sys.executable, "-c", stream], [sys.executable, "-c", upload], shlex.split(command))
    ]
    expected = dense.transcribe(wav)
    assert "'type': 'ready'" in told[0] and f"'text': '{expected.text}'" in told[0] and "'type': 'end'" in told[0]
    assert told[1] == f"{expected.text}\n" and told[2] == srt(None, expected)
    described = set(re.findall(r"^\| `(\w+)`(?:, `(\w+)`)? \|", page, re.M))
    assert {field.name for field in fields(Hello)} <= {name for names in described for name in names}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl")
    key, certificate = (tmp_path_factory.mktemp("tls") / name for name in ("key.pem", "cert.pem"))
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(["openssl", *words.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


@pytest.mark.slow
def test_https(serve, certificate, speech):
    certificate, key = certificate
    with serve("--certfile", certificate, "--keyfile", key) as server:
        assert server.url.startswith("https://") and server.ws.startswith("wss://")
        trust = ssl.create_default_context(cafile=certificate)

        async def once():
            async with server.connect(ssl=trust) as socket:
                return await converse(socket, pcm(speech[0]))

        assert finals(asyncio.run(once()))
    process = subprocess.run(
        [sys.executable, "-m", "dualmode.bin.serve", MODEL, "--certfile", key, "--keyfile", certificate],
        capture_output=True,
        text=True,
    )
    assert process.returncode == 2 and "cannot be used" in process.stderr, process.stderr


def test_a_request_that_came_behind_another_one_has_its_time(serve):
    """The deadline of a connection on which nothing is asked is not that of an upload which has begun."""
    body = b"\r\n".join(
        (
            b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nsparse',
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n',
            (MODEL.parent / "temperature.wav").read_bytes(),
            b"--x--\r\n",
        )
    )
    upload = (
        "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode()
    with serve("--handshake-s", 1) as server:
        address = "127.0.0.1", int(server.url.split(":")[2].strip("/"))
        with sockets.create_connection(address, timeout=60) as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + upload + body[:1000])
            time.sleep(2)
            client.sendall(body[1000:])
            said = b"".join(iter(lambda: client.recv(4096), b""))
    assert said.count(b"HTTP/1.1 200 OK") == 2 and b'"text"' in said, said


def test_a_tls_handshake_takes_no_longer_than_a_request(serve, certificate):
    certificate, key = certificate
    with serve("--certfile", certificate, "--keyfile", key, "--handshake-s", 1) as server:
        address = "127.0.0.1", int(server.url.split(":")[2].strip("/"))
        with sockets.create_connection(address, timeout=20) as silent, contextlib.suppress(ConnectionResetError):
            assert silent.recv(1) == b""
