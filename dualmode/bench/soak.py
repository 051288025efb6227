"""A server among clients of all kinds for as long as one likes: no utterance may be lost, and memory may not grow.

Good clients stream in real time and faster, one after the other, and must be told what the engine says alone. Between
them others vanish, say nothing, send garbage or single bytes, read nothing, upload recordings and what is none.
"""

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import sys
import time
from collections import Counter
from itertools import zip_longest

import numpy as np

from dualmode.bench.server import recording
from dualmode.bench.servers import PIECE, cpu_seconds, first_dualmode, memory_mb, running
from dualmode.cli import at_least, existing_dir, existing_file
from dualmode.errors import UserError
from dualmode.frames import SAMPLE_RATE

COLUMNS = (
    "minutes",
    "good_streams",
    "utterances",
    "lost",
    "second_passes",
    "skipped",
    "uploads",
    "faulty",
    "first_mb",
    "last_mb",
    "cpu_percent",
)
HELLO = {"sample_rate": SAMPLE_RATE, "format": "f32le", "silence_ms": 1200}
OPTIONS = {"max-clients": 40, "max-connections": 60, "idle-s": 20, "handshake-s": 5, "send-s": 5, "max-second-pass": 4}
PATIENCE_S = 120  # with a server that has much to do
LOOK_S = 5  # between looks at the memory


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=existing_file, required=True, metavar="DMDL", help="file of pack-device")
    parser.add_argument("--folder", type=existing_dir, metavar="DIR", help="of the supernet, for second passes")
    parser.add_argument("--audio", type=existing_file, nargs="+", required=True, metavar="WAV", help="sentences")
    parser.add_argument("--seconds", type=at_least(1.0), default=600, metavar="S", help="how long")
    parser.add_argument("--clients", type=at_least(1), default=12, metavar="N", help="good streams at a time")
    parser.add_argument("--faulty", type=at_least(0), default=6, metavar="N", help="other clients at a time")


class Soak:
    """The clients, and what they saw."""

    def __init__(self, port: int, args: argparse.Namespace):
        self.port = port
        self.until = time.monotonic() + args.seconds
        self.audio = [recording(args.audio, number, 8 + number) for number in range(4)]
        self.expected = [last_texts(first_dualmode(args.model, samples)) for samples in self.audio]
        self.seen: Counter[str] = Counter()
        self.random = random.Random(0)

    def connect(self):
        from websockets.asyncio.client import connect

        return connect(f"ws://127.0.0.1:{self.port}/v1/stream", max_size=None, open_timeout=PATIENCE_S)

    async def good(self, number: int) -> None:
        """Stream one recording after the other, and count what is missing."""
        while time.monotonic() < self.until:
            which = self.random.randrange(len(self.audio))
            samples, expected = self.audio[which], self.expected[which]
            in_time = self.random.random() < 0.7
            async with self.connect() as socket:
                await socket.send(json.dumps(HELLO))
                listener = asyncio.create_task(everything(socket))
                for at in range(0, len(samples), PIECE):
                    await socket.send(samples[at : at + PIECE].tobytes())
                    if in_time:
                        await asyncio.sleep(0.1)
                await socket.send('{"type": "finish"}')
                told = await asyncio.wait_for(listener, PATIENCE_S)
            texts = [one["text"] for one in told if one["type"] == "final"]
            if told and told[-1]["type"] == "error" and "no more streams" in told[-1]["message"]:
                self.seen["turned away"] += 1
                await asyncio.sleep(1)
                continue
            self.seen["good_streams"] += 1
            self.seen["utterances"] += len(expected)
            if texts != expected:
                self.seen["lost"] += max(sum(a != b for a, b in zip_longest(texts, expected)), 1)
                print(f"expected {expected}, was told {told}", file=sys.stderr, flush=True)
            for one in told:
                if one["type"] == "second_pass":
                    self.seen["skipped" if one["text"] is None else "second_passes"] += 1

    async def faulty(self) -> None:
        """Do something wrong, again and again."""
        kinds = (
            self.vanish,
            self.say_nothing,
            self.garbage,
            self.single_bytes,
            self.raw,
            self.upload,
            self.read_nothing,
        )
        while time.monotonic() < self.until:
            kind = self.random.choice(kinds)
            with contextlib.suppress(Exception):  # whatever comes of it
                await asyncio.wait_for(kind(), 30)
            self.seen["uploads" if kind == self.upload else "faulty"] += 1
            await asyncio.sleep(0.2)

    async def vanish(self) -> None:
        socket = await self.connect()
        await socket.send(json.dumps(HELLO))
        for at in range(0, self.random.randrange(200_000), PIECE):
            await socket.send(self.audio[0][at : at + PIECE].tobytes())
        socket.transport.abort()

    async def say_nothing(self) -> None:
        async with self.connect() as socket:
            if self.random.random() < 0.5:
                await socket.send(json.dumps(HELLO))
            await everything(socket)

    async def garbage(self) -> None:
        async with self.connect() as socket:
            if self.random.random() < 0.7:
                await socket.send(json.dumps(HELLO))
            data = self.random.randbytes(self.random.randrange(1, 400_000))
            await socket.send(data if self.random.random() < 0.7 else data[:1000].hex())
            await everything(socket)

    async def single_bytes(self) -> None:
        async with self.connect() as socket:
            await socket.send(json.dumps(HELLO))
            data = self.audio[1][:1000].tobytes()
            for at in range(len(data)):
                await socket.send(data[at : at + 1])
            await socket.send('{"type": "finish"}')
            await everything(socket)

    async def raw(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(
            self.random.choice((b"", b"GET / HT", self.random.randbytes(5000), b"POST /v1/audio/transcriptions "))
        )
        await reader.read()
        writer.close()

    async def upload(self) -> None:
        body = b'--a\r\nContent-Disposition: form-data; name="model"\r\n\r\nsparse\r\n--a\r\n'
        body += b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        body += self.random.choice((wav_bytes(self.audio[2]), self.random.randbytes(30_000))) + b"\r\n--a--\r\n"
        head = f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
        head += "Connection: close\r\nContent-Type: multipart/form-data; boundary=a\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(head.encode() + body[: len(body) if self.random.random() < 0.8 else len(body) // 2])
        await reader.read()
        writer.close()

    async def read_nothing(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1)
        writer.write(b"GET /page/page.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 200)
        await asyncio.sleep(5)
        writer.transport.abort()


async def everything(socket) -> list[dict]:
    """Return what the server says until it closes."""
    from websockets.exceptions import ConnectionClosed

    told = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            told.append(json.loads(await socket.recv()))
    return told


def last_texts(first: dict[tuple[int, str], int]) -> list[str]:
    return list({utterance: text for utterance, text in first}.values())


def wav_bytes(samples: np.ndarray) -> bytes:
    import io

    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, format="WAV")
    return file.getvalue()


def measure(args: argparse.Namespace) -> list[dict]:
    """Return one row; memory is the median of the second and of the last tenth of the time."""
    if args.seconds < 20 * LOOK_S:
        raise UserError(f"--seconds {args.seconds:g}: it must be at least {20 * LOOK_S}, to look at the memory")
    import torch  # whose number of threads stands below the table: the engine gets as many

    served = OPTIONS | {"threads": torch.get_num_threads()}
    options = [word for name, value in served.items() for word in (f"--{name}", str(value))]
    model = [args.folder, "--device-model", args.model] if args.folder else [args.model]
    with running([sys.executable, "-m", "dualmode.bin.serve", *model, "--port", "0", *options], None) as one:
        soak = Soak(one.port(), args)
        cpu, sizes = cpu_seconds(one.pid), asyncio.run(everyone(soak, args, one.pid))
        cpu = cpu_seconds(one.pid) - cpu
    tenth = max(len(sizes) // 10, 1)
    row = {name: soak.seen[name] for name in COLUMNS if name not in ("minutes", "first_mb", "last_mb", "cpu_percent")}
    return [
        {
            "minutes": args.seconds / 60,
            **row,
            "first_mb": statistics.median(sizes[tenth : 2 * tenth]),
            "last_mb": statistics.median(sizes[-tenth:]),
            "cpu_percent": 100 * cpu / args.seconds,
        }
    ]


async def everyone(soak: Soak, args: argparse.Namespace, pid: int) -> list[float]:
    """Run all clients; return the server's memory every few seconds, MB."""
    clients = [asyncio.create_task(soak.good(number)) for number in range(args.clients)]
    clients += [asyncio.create_task(soak.faulty()) for _ in range(args.faulty)]
    sizes = []
    while time.monotonic() < soak.until:
        sizes.append(memory_mb(pid))
        await asyncio.sleep(LOOK_S)
        for client in clients:
            if client.done():
                client.result()  # a good client that failed fails the benchmark
    await asyncio.gather(*clients)
    return sizes
