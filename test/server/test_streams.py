"""Streams of a real server by a real client: equal texts, limits, and clients that do what they should not."""

import asyncio
import base64
import json
import os
import signal
import socket as sockets
import time
import urllib.request

import numpy as np
import pytest

from dualmode.bin.serve import main
from dualmode.errors import UserError
from dualmode.export.runtimes import DeviceEngine
from dualmode.server.protocol import Hello

from .conftest import MODEL, converse, everything, finals, pcm, streamed

exceptions = pytest.importorskip(
    "websockets.exceptions", reason="dualmode[server] is not installed: tools/setup.sh --with-server"
)

frames = pytest.importorskip("websockets.frames")

KEY = f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n"
PATIENT = {"silence_ms": 60000, "max_utterance_ms": 60000}


def metric(server, name: str) -> float:
    text = urllib.request.urlopen(f"{server.url}metrics").read().decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"dualmode_{name}"))


def talk(server, *arguments, **options) -> list[dict]:
    async def once():
        async with server.connect() as socket:
            return await converse(socket, *arguments, **options)

    return asyncio.run(asyncio.wait_for(once(), 60))


def test_fifty_clients_at_once_hear_what_the_device_file_says(server, speech):
    rng = np.random.default_rng(0)
    audio = [np.concatenate([speech[n % 2][rng.integers(8000) :], speech[n // 2 % 2]]) for n in range(50)]
    audio = [np.round(samples * 32767).astype(np.int16).astype(np.float32) / 32768 for samples in audio]
    engine = DeviceEngine(MODEL)  # what dualmode transcribe runs
    expected = [engine.transcribe(samples) for samples in audio]
    ways = [{"format": format, "sizes": sizes} for format in ("s16le", "f32le") for sizes in ((3200,), (7, 9001, 640))]

    async def everyone():
        async def one(number: int) -> list[dict]:
            way = ways[number % len(ways)]
            samples = audio[number]
            data = (samples * 32768).astype("<i2").tobytes() if way["format"] == "s16le" else pcm(samples, "f32le")
            async with server.connect() as socket:
                return await converse(socket, data, **way, **PATIENT)

        return await asyncio.wait_for(asyncio.gather(*map(one, range(50))), 100)

    found = asyncio.run(everyone())
    assert [finals(messages) for messages in found] == [[text] for text in expected]
    assert len(set(expected)) > 10
    for messages, text in zip(found, expected, strict=True):
        assert messages[0]["type"] == "ready" and messages[0]["second_pass"] is False
        assert messages[-1]["type"] == "end" and messages[-1]["reason"] == "finished"
        [final] = [one for one in messages if one["type"] == "final"]
        assert " ".join(word["text"] for word in final["words"]) == text
        assert all(0 <= word["start_ms"] < word["end_ms"] <= final["end_ms"] + 40 for word in final["words"])


@pytest.mark.parametrize("rate", [16000, 8000, 44100, 192000])
def test_utterances_end_where_the_engine_ends_them(server, device_model, speech, rate):
    pause = np.zeros(32000, np.float32)
    samples = np.concatenate([speech[0], pause, speech[1], pause])[:: 2 if rate == 8000 else 1]
    samples = np.repeat(samples, 12) if rate == 192000 else samples
    expected = streamed(device_model, samples, rate)
    messages = talk(server, pcm(samples, "f32le"), format="f32le", sample_rate=rate, sizes=(4000,))
    assert finals(messages) == expected and len(expected) >= (2 if rate != 44100 else 1)
    ended = [one for one in messages if one["type"] == "final"]
    assert [one["utterance"] for one in ended] == list(range(len(ended)))
    if rate == 16000:
        assert ended[0]["endpoint"] == "silence"
    partials = [one["text"] for one in messages if one["type"] == "partial"]
    assert partials and all(any(text.startswith(part[:3]) for text in expected) for part in partials)


def test_partials_can_be_left_out(server, speech):
    kinds = {one["type"] for one in talk(server, pcm(speech[0]), partials=False)}
    assert kinds == {"ready", "final", "end"}


def test_single_bytes(server, device_model, speech):
    samples = speech[0][:10000]
    assert finals(talk(server, pcm(samples), sizes=(1,), **PATIENT)) == streamed(device_model, samples)


def test_a_stream_that_is_sent_faster_than_it_is_heard(serve, device_model, speech):
    """Its audio waits in the network, and keeps its order on every way."""
    samples = np.concatenate([np.concatenate([speech[n % 2], np.zeros(20000, np.float32)]) for n in range(12)])
    expected = streamed(device_model, samples)
    with serve("--max-backlog-ms", 1000) as server:
        for sizes in ((64000,), (3200, 1, 99_999)):
            assert finals(talk(server, pcm(samples, "f32le"), format="f32le", sizes=sizes)) == expected
    assert len(expected) >= 10


def test_a_client_whose_pongs_are_behind_its_audio_is_not_cut_off(serve, tmp_path, speech):
    """uvicorn pings, and where it waits for the answer, it closes streams that it reads slowly itself."""
    quick = "import functools, uvicorn; config = uvicorn.Config; "
    quick += "config.__init__ = functools.partialmethod(config.__init__, ws_ping_interval=0.1, ws_ping_timeout=0.1)\n"
    (tmp_path / "sitecustomize.py").write_text(quick)

    async def slow(server) -> list[dict]:
        async with server.connect() as socket:
            await socket.send('{"sample_rate": 16000}')
            await socket.recv()
            socket.transport.pause_reading()  # no ping comes in, so that none is answered
            await asyncio.sleep(1)
            socket.transport.resume_reading()
            await socket.send(pcm(speech[0]))
            await socket.send('{"type": "finish"}')
            return await everything(socket)

    with serve(PYTHONPATH=f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}") as server:
        messages = asyncio.run(asyncio.wait_for(slow(server), 60))
    assert len(finals(messages)) == 1 and messages[-1]["reason"] == "finished"


def test_a_client_that_reads_nothing_is_cut_off(strict):
    """Its requests are answered with more than the kernel keeps."""
    with sockets.socket() as raw:
        raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        raw.settimeout(60)
        raw.connect(("127.0.0.1", int(strict.url.split(":")[2].strip("/"))))
        request = b"GET /dualmode.wasm HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        with pytest.raises(ConnectionError):  # it was cut off; a time-out is none
            for _ in range(1200):
                raw.sendall(request)
                time.sleep(0.05)


def test_silence_is_no_utterance(server):
    messages = talk(server, bytes(64000))
    assert [one["type"] for one in messages] == ["ready", "end"] and messages[-1]["heard_ms"] == 2000
    assert [one["type"] for one in talk(server, b"")] == ["ready", "end"]


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ("no JSON", "must be a JSON object"),
        ("[1]", "must be a JSON object"),
        ("[" * 3000, "must be a JSON object"),
        ("x" * 5000, "at most 4096 characters"),
        ('{"rate": 16000}', "has no key 'rate'"),
        ("{}", "the first message lacks sample_rate"),
        ('{"sample_rate": 100}', "it must be from 8000 to 192000 Hz"),
        ('{"sample_rate": 12345}', "it must be a multiple of 25, 32 or 40 Hz"),
        ('{"sample_rate": "16k"}', "sample_rate is '16k'"),
        ('{"sample_rate": NaN}', "sample_rate is nan"),
        ('{"sample_rate": 16000, "format": "mp3"}', "format is 'mp3'"),
        ('{"sample_rate": 16000, "silence_ms": 0}', "silence_ms is 0"),
        ('{"sample_rate": 16000, "max_utterance_ms": 1e9}', "at most 60000"),
        (b"\0\0", "the first message must be text"),
    ],
)
def test_first_messages_that_are_wrong(server, first, said):
    async def once():
        async with server.connect() as socket:
            await socket.send(first)
            answer = json.loads(await socket.recv())
            with pytest.raises(exceptions.ConnectionClosed):
                await socket.recv()
            return answer, socket.close_code

    answer, code = asyncio.run(asyncio.wait_for(once(), 60))
    assert answer["type"] == "error" and said in answer["message"] and code == 1008


def test_garbage_behind_the_first_message_ends_with_the_text_so_far(server, device_model, speech):
    async def once(garbage):
        async with server.connect() as socket:
            await socket.send('{"sample_rate": 16000, "silence_ms": 60000}')
            await socket.send(pcm(speech[0]))
            await socket.send(garbage)
            return await everything(socket)

    for garbage in ("{}", "what?", '{"type": "finish", "now": true}'):
        messages = asyncio.run(asyncio.wait_for(once(garbage), 60))
        assert finals(messages) == streamed(device_model, speech[0])
        assert [one["type"] for one in messages[-2:]] == ["error", "end"]


def test_samples_that_are_none_are_refused(server):
    for value in (np.nan, np.inf, 30000.0):
        messages = talk(server, pcm(np.full(16000, value, np.float32), "f32le"), format="f32le", finish=False)
        assert "not finite, or far outside" in messages[-2]["message"] and messages[-1]["reason"] == "error"


def test_samples_that_are_none_are_told_behind_the_end_too(server, speech, device_model):
    bad = pcm(np.array([*speech[0], np.nan], np.float32), "f32le")
    for _ in range(5):
        messages = talk(server, bad, sizes=(len(bad),), format="f32le")
        assert "not finite" in messages[-2]["message"] and messages[-1]["reason"] == "error"
    data = pcm(speech[0], "f32le")
    both = talk(server, data + pcm(np.full(10, np.nan), "f32le"), sizes=(len(data),), format="f32le")
    assert finals(both) == streamed(device_model, speech[0]) and both[-1]["reason"] == "error"


@pytest.mark.parametrize("size", [1600, 16000, 10**9])
def test_what_comes_before_samples_that_are_none_is_heard_however_it_is_sent(server, speech, device_model, size):
    good = speech[0][: len(speech[0]) * 2 // 3]
    data = pcm(np.concatenate([good, np.full(1000, np.nan), speech[0]]).astype(np.float32), "f32le")
    messages = talk(server, data, sizes=(min(4 * size, len(data)),), format="f32le")
    assert finals(messages) == streamed(device_model, good) and messages[-1]["reason"] == "error"


def test_clients_that_vanish_leave_nothing_behind(server, speech):
    async def vanish(number: int):
        socket = await server.connect()
        await socket.send('{"sample_rate": 16000}')
        for _ in range(number % 5):
            await socket.send(pcm(speech[0]))
        socket.transport.abort()

    async def everyone():
        await asyncio.gather(*map(vanish, range(40)))

    asyncio.run(everyone())
    for _ in range(1200):
        if not metric(server, "streams "):
            break
        asyncio.run(asyncio.sleep(0.05))
    assert metric(server, "streams ") == 0
    assert finals(talk(server, pcm(speech[0])))


def test_other_origins_and_hosts_are_refused(server):
    host = server.url.split("/")[2]
    cases = [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": f"http://{host}"}, 101),
        ({"Host": "evil.example"}, 403),
        ({"Host": host.replace("127.0.0.1", "localhost")}, 101),
        ({"Host": "["}, 403),
    ]
    for headers, status in cases:
        with sockets.create_connection(("127.0.0.1", int(host.split(":")[1])), timeout=60) as raw:
            lines = {"Host": host, **headers, "Connection": "Upgrade", "Upgrade": "websocket"}
            lines |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
            head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
            raw.sendall(f"GET /v1/stream HTTP/1.1\r\n{head}\r\n".encode())
            assert raw.recv(100).split()[1] == str(status).encode(), headers


@pytest.mark.parametrize(
    "method, more", [("GET", f"Cookie: {'a' * 9000}\r\n"), ("POST", ""), ("GET", "X: y\r\n" * 200)]
)
def test_a_handshake_that_is_none_is_answered_and_closed(server, method, more):
    with sockets.create_connection(("127.0.0.1", int(server.url.split(":")[2].strip("/"))), timeout=60) as raw:
        head = f"{method} /v1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{more}"
        raw.sendall(f"{head}\r\n".encode())
        said = b"".join(iter(lambda: raw.recv(4096), b""))
    assert said.startswith(b"HTTP/1.1 400 ") and b"no handshake of a WebSocket" in said


@pytest.mark.parametrize("hello", [b"", b'{"sample_rate": 16000}'])
def test_a_text_that_is_no_utf_8_ends_a_stream_without_a_word_in_the_log(serve, hello):
    upgrade = f"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{KEY}\r\n"
    with serve() as server:
        with sockets.create_connection(("127.0.0.1", int(server.url.split(":")[2].strip("/"))), timeout=60) as raw:
            raw.sendall(upgrade.encode())
            assert raw.recv(4096).startswith(b"HTTP/1.1 101 ")
            for text in filter(None, (hello, b"\xff\xfe")):
                raw.sendall(frames.Frame(frames.OP_TEXT, text).serialize(mask=True))
            said = b"".join(iter(lambda: raw.recv(4096), b""))
        assert said.endswith(
            frames.Frame(frames.OP_CLOSE, b"\x03\xefa text message must be UTF-8").serialize(mask=False)
        )
        assert len(server.stop().splitlines()) == 2  # that it streams alone, and that it stops


@pytest.fixture(scope="module")
def strict(serve):
    limits = {"max-clients": 2, "idle-s": 1, "handshake-s": 1, "send-s": 1, "max-message-kb": 100, "max-stream-s": 3}
    limits |= {"max-connections": 20, "stop-s": 1}
    options = [word for name, value in limits.items() for word in (f"--{name}", value)]
    with serve(*options, DUALMODE_TOKEN="0123456789abcdef") as one:
        yield one


TOKEN = {"token": "0123456789abcdef"}


def test_the_token(strict, speech):
    for token in ({}, {"token": ""}, {"token": "0123456789abcdeF"}, {"token": "é" * 16}, {"token": "\ud800" * 16}):
        messages = talk(strict, pcm(speech[0][:1600]), finish=False, **token)
        assert [one["type"] for one in messages] == ["error"] and "token" in messages[0]["message"]
    assert finals(talk(strict, pcm(speech[0]), **TOKEN))


def test_limits(strict, device_model, speech):
    async def hello(socket):
        await socket.send(json.dumps({"sample_rate": 16000, "silence_ms": 60000, **TOKEN}))

    async def all_of_them():
        async with strict.connect() as first, strict.connect() as second, strict.connect() as third:
            await hello(first)
            await hello(second)
            assert json.loads(await first.recv())["type"] == json.loads(await second.recv())["type"] == "ready"
            await hello(third)
            assert "no more streams" in json.loads(await third.recv())["message"]
            # Too large a message; audio that ends; nothing more for a second.
            await first.send(bytes(100_001))
            with pytest.raises(exceptions.ConnectionClosed):
                await first.recv()
            assert first.close_code == 1009
            await second.send(pcm(speech[0]))
            messages = await everything(second)
            assert finals(messages) == streamed(device_model, speech[0]) and messages[-1]["reason"] == "idle"
        async with strict.connect() as silent:
            assert "no first message" in json.loads(await silent.recv())["message"]
        async with strict.connect() as long:
            await hello(long)
            for _ in range(5):
                await long.send(pcm(np.zeros(16000, np.float32)))
            messages = await everything(long)
            assert messages[-1]["reason"] == "limit" and messages[-1]["heard_ms"] == 3000

    asyncio.run(asyncio.wait_for(all_of_them(), 30))


def test_connections_that_ask_for_nothing_are_closed(strict):
    port = int(strict.url.split(":")[2].strip("/"))
    opened = [sockets.create_connection(("127.0.0.1", port), timeout=60) for _ in range(30)]
    opened[0].sendall(b"GET /healthz HTTP/1.1\r\nHost: 127")
    for one in opened:  # at once, or after a second
        try:
            assert one.recv(1) == b""
        except ConnectionResetError:
            pass
        one.close()
    assert urllib.request.urlopen(f"{strict.url}healthz", timeout=60).status == 200


def test_a_stream_that_came_behind_a_request_has_its_time(strict):
    """The deadline of a connection on which nothing is asked ends where the WebSocket begins."""
    upgrade = (
        f"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{KEY}\r\n"
    ).encode()

    said = b""

    def hear(what: bytes) -> None:
        nonlocal said
        while what not in said and (more := client.recv(4096)):
            said += more

    def message(code: frames.Opcode, data: bytes) -> bytes:
        return frames.Frame(code, data).serialize(mask=True)

    with sockets.create_connection(("127.0.0.1", int(strict.url.split(":")[2].strip("/"))), timeout=60) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + upgrade)
        hear(b" 101 ")
        client.sendall(message(frames.OP_TEXT, json.dumps({"sample_rate": 16000, **TOKEN}).encode()))
        for _ in range(10):  # 2 s, of which --handshake-s is one
            client.sendall(message(frames.OP_BINARY, bytes(6400)))
            time.sleep(0.2)
        client.sendall(message(frames.OP_TEXT, b'{"type": "finish"}'))
        hear(b'"type":"end"')
    assert b'"ready"' in said and b'"heard_ms":2000.0' in said, said


def test_open_streams_end_with_their_text_when_the_server_stops(serve, device_model, speech):
    expected = streamed(device_model, speech[0], hello=Hello(16000, silence_ms=60000))

    async def everyone(server):
        opened = [await server.connect() for _ in range(5)]
        for socket in opened:
            await socket.send('{"sample_rate": 16000, "silence_ms": 60000}')
            await socket.send(pcm(speech[0]))
            await socket.recv()
        server.process.send_signal(signal.SIGTERM)
        messages = [await everything(socket) for socket in opened]
        return messages, {socket.close_code for socket in opened}

    with serve() as server:
        found, codes = asyncio.run(asyncio.wait_for(everyone(server), 30))
        server.process.wait(60)
        assert server.process.returncode == 0
    assert [finals(messages) for messages in found] == [expected] * 5 and codes == {1001}
    assert {messages[-1]["reason"] for messages in found} == {"stopping"}


ENDLESS = """
import dataclasses, dualmode.server.models as models
opened = models.open_served
def dense(pieces):
    import torch
    print("begun", flush=True)
    while True:
        (torch.ones(200, 200) @ torch.ones(200, 200)).relu()
models.open_served = lambda *words: dataclasses.replace(opened(*words), dense=dense)
"""


def test_a_batch_of_the_dense_sub_network_does_not_keep_a_server_that_stops(serve, tmp_path):
    """Its upload is told so; PyTorch, which is at work when Python ends, aborts nothing."""
    (tmp_path / "sitecustomize.py").write_text(ENDLESS)
    body = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\ndense\r\n'
    body += b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    body += (MODEL.parent / "temperature.wav").read_bytes() + b"\r\n--x--\r\n"
    head = "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    head += f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(body)}\r\n\r\n"
    with serve("--stop-s", 1, PYTHONPATH=f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}") as server:
        address = "127.0.0.1", int(server.url.split(":")[2].strip("/"))
        with sockets.create_connection(address, timeout=60) as client:
            client.sendall(head.encode() + body)
            assert server.process.stdout.readline() == "begun\n"
            server.stop()
            said = b"".join(iter(lambda: client.recv(4096), b""))
    assert said.startswith(b"HTTP/1.1 503 ") and b'"code":"stopping"' in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "PORT"], "cannot be listened on: Address already in use"),
        (["--host", "no.such.host.invalid", "--token-file", "TOKEN"], "cannot be listened on"),
        (["--host", "0.0.0.0"], "it needs a token"),
        (["--port", "70000"], "it must be from 0 to 65535"),
        (["--max-clients", "0"], "--max-clients is 0"),
        (["--keyfile", str(MODEL)], "HTTPS needs both"),
        (["--alias", "dense"], "--alias dense is the name of a model"),
        (["--allow-origin", "https://example.org/"], "--allow-origin https://example.org/: it must be as browsers"),
        (["--allow-host", "https://example.org"], "--allow-host https://example.org: it must be a name alone"),
        (["--subnet", "sparse", "--port", "0"], "--subnet is for model folders"),
        (["--device", "cuda", "--port", "0"], "--device is for model folders"),
        (["--torch-threads", "2", "--port", "0"], "--torch-threads is for model folders"),
        (["--device-model", str(MODEL), "--port", "0"], "--device-model is for model folders"),
        (["--token-file", "/bin/true", "--port", "0"], "true:.* is not UTF-8"),
    ],
)
def test_what_cannot_be_served(server, tmp_path, monkeypatch, words, said):
    monkeypatch.delenv("DUALMODE_TOKEN", raising=False)
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    known = {"PORT": server.url.split(":")[2].strip("/"), "TOKEN": str(token)}
    with pytest.raises(UserError, match=said):
        main([str(MODEL), *(known.get(word, word) for word in words)])


@pytest.mark.slow
def test_ten_thousand_connections_are_bounded(serve, device_model, speech):
    """Of those that ask for nothing a few are kept, the others closed at once; a good client is heard meanwhile."""
    with serve("--max-connections", 50, "--handshake-s", 2) as server:
        port = int(server.url.split(":")[2].strip("/"))
        before, most = server.memory_mb(), 0

        async def attempt(gate: asyncio.Semaphore) -> bool:
            async with gate:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(b"GET ")
                    await asyncio.wait_for(reader.read(), 60)
                    writer.close()
                except ConnectionError:
                    pass
                return True

        async def everyone():
            nonlocal most
            gate = asyncio.Semaphore(400)
            attempts = asyncio.gather(*(attempt(gate) for _ in range(10_000)))
            while not attempts.done():
                most = max(most, len(os.listdir(f"/proc/{server.process.pid}/fd")))
                await asyncio.sleep(0.05)
            return await attempts

        assert all(asyncio.run(asyncio.wait_for(everyone(), 200)))
        assert most < 50 + 100 and server.memory_mb() < before + 30
        assert finals(talk(server, pcm(speech[0]), **PATIENT)) == streamed(device_model, speech[0])


@pytest.mark.slow
def test_the_server_stops_at_once_where_nobody_is(serve):
    with serve() as server:
        assert "0 streams" in server.stop(signal.SIGINT)
