import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from dualmode.bench.soak import everything
from dualmode.server.protocol import Hello
from dualmode_runtime.audio.reading import read_audio
from dualmode_runtime.build import BUILT, LIBRARY
from dualmode_runtime.engine import DeviceModel, EngineMissing, load_library

DEMO = Path(__file__).parents[2] / "egs" / "mini" / "demo"
MODEL = DEMO / "sparse.dmdl"


@pytest.fixture(scope="session")
def device_model() -> DeviceModel:
    try:
        load_library(BUILT / LIBRARY)
    except EngineMissing as error:
        pytest.skip(str(error))
    return DeviceModel.open(MODEL)


@pytest.fixture(scope="session")
def speech() -> list[np.ndarray]:
    """Two sentences, (samples,) at 16 kHz."""
    return [read_audio(DEMO / name, 16000) for name in ("temperature.wav", "news.wav")]


class Served:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen, url: str):
        self.process, self.url = process, url
        self.ws = f"ws{url.removeprefix('http').rstrip('/')}/v1/stream"

    def connect(self, **options):
        from websockets.asyncio.client import connect

        return connect(self.ws, max_size=None, open_timeout=60, **options)

    def memory_mb(self) -> float:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stop(self, how: int = signal.SIGTERM) -> str:
        """Send a signal; return what the server said on standard error, once it has ended with status 0."""
        self.process.send_signal(how)
        said = self.process.communicate(timeout=60)[1]
        assert self.process.returncode == 0, said
        return said


@contextlib.contextmanager
def serving(*options: object, model: Path = MODEL, **environment: str) -> Iterator[Served]:
    command = [sys.executable, "-m", "dualmode.bin.serve", model, "--port", 0, "--threads", 2, *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(list(map(str, command)), env={**os.environ, **environment}, **pipes) as process:
        try:
            url = process.stdout.readline().strip()
            assert url, process.communicate()[1]
            yield Served(process, url)
        finally:
            process.kill()


@pytest.fixture(scope="session")
def serve(device_model) -> Callable[..., contextlib.AbstractContextManager[Served]]:
    """Starts a server: ``with serve("--idle-s", 1) as server``."""
    for name in ("starlette", "uvicorn", "uvloop", "websockets", "python_multipart"):
        pytest.importorskip(name, reason="dualmode[server] is not installed: tools/setup.sh --with-server")
    return serving


@pytest.fixture(scope="module")
def server(serve) -> Iterator[Served]:
    with serve() as one:
        yield one


def pcm(samples: np.ndarray, format: str = "s16le") -> bytes:
    return (samples * 32767).round().astype("<i2").tobytes() if format == "s16le" else samples.astype("<f4").tobytes()


async def converse(socket, data: bytes, sizes=(3200,), finish: bool = True, **hello) -> list[dict]:
    """Send audio in pieces of these sizes, again and again, and return all that the server said."""
    await socket.send(json.dumps({"sample_rate": 16000, **hello}))
    at = turn = 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        await socket.send(data[at : at + size])
        at, turn = at + size, turn + 1
    if finish:
        await socket.send('{"type": "finish"}')
    return await everything(socket)


def finals(messages: list[dict]) -> list[str]:
    return [one["text"] for one in messages if one["type"] == "final"]


def streamed(model: DeviceModel, samples: np.ndarray, rate: int = 16000, hello: Hello | None = None) -> list[str]:
    """The texts of the engine's utterances, called by hand."""
    device, texts = model.stream(), []
    hello = hello or Hello(rate)
    device.set_endpointing(hello.silence_ms, max_utterance_ms=hello.max_utterance_ms)
    device.accept_samples(samples, rate)
    while device.endpoint:
        texts.append(device.text)
        device.next_utterance()
    device.finish()
    return [text for text in [*texts, device.text] if text]
