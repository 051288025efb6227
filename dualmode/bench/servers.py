"""Servers that ``bench server`` measures, each with a core of its own, and what their engines say alone."""

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from dualmode.bench.load import PIECE_MS
from dualmode.errors import UserError
from dualmode.frames import SAMPLE_RATE
from dualmode_runtime.engine import DeviceModel

PIECE = SAMPLE_RATE * PIECE_MS // 1000
SILENCE_MS = 1200  # that ends an utterance: sherpa-onnx's rule
TAIL_S = 0.8  # silence that sherpa-onnx's server hears behind the audio
First = dict[tuple[int, str], int]  # number of the piece with which each (utterance, text) comes
Start = Callable[[], "contextlib.AbstractContextManager[tuple[int, int]]"]  # of a server: its process and port


def onnx_file(precision: str) -> str:
    """Return the name of an exported CTC model."""
    return "model.int8.onnx" if precision == "int8" else "model.onnx"


def first_dualmode(model: Path, samples: np.ndarray) -> First:
    """Return with which piece each text comes, in the engine alone; those of the audio's end have the number behind."""
    first: First = {}
    device, utterance = DeviceModel.open(model).stream(), 0
    device.set_endpointing(SILENCE_MS)
    pieces = range(0, len(samples), PIECE)
    for number, at in enumerate(pieces):
        device.accept_samples(samples[at : at + PIECE])
        while device.endpoint:
            first.setdefault((utterance, device.text), number)
            utterance += bool(device.text)
            device.next_utterance()
        if device.text:
            first.setdefault((utterance, device.text), number)
    device.finish()
    if device.text:
        first.setdefault((utterance, device.text), len(pieces))
    return first


def first_sherpa(folder: Path, precision: str, samples: np.ndarray) -> First:
    """The same in sherpa-onnx, which ends utterances by its own rules and hears 0.8 s more at the end."""
    import sherpa_onnx

    recogniser = sherpa_onnx.OnlineRecognizer.from_zipformer2_ctc(
        str(folder / "tokens.txt"), str(folder / onnx_file(precision)), num_threads=1, enable_endpoint_detection=True
    )
    first: First = {}
    stream, segment = recogniser.create_stream(), 0
    pieces = range(0, len(samples), PIECE)
    tail = np.zeros(int(TAIL_S * SAMPLE_RATE), np.float32)
    for number, at in enumerate([*pieces, None]):
        stream.accept_waveform(SAMPLE_RATE, tail if at is None else samples[at : at + PIECE])
        while recogniser.is_ready(stream):
            recogniser.decode_stream(stream)
            if text := " ".join(recogniser.get_result(stream).split()):
                first.setdefault((segment, text), number)
            if recogniser.is_endpoint(stream):
                segment += bool(text)
                recogniser.reset(stream)
    return first


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Server(NamedTuple):
    """A server that runs, and the file that has what it writes to standard error."""

    process: subprocess.Popen
    errors: IO[str]

    @property
    def pid(self) -> int:
        return self.process.pid

    def port(self) -> int:
        """Wait until ``dualmode serve`` says where it listens, and return its port.

        Raises UserError with the server's own words if it ends before that.
        """
        assert self.process.stdout is not None
        url = self.process.stdout.readline().strip()
        if not url:
            self.process.wait()
            self.errors.seek(0)
            raise UserError(f"the server ended before it listened: {self.errors.read().strip() or 'it said nothing'}")
        return int(url.strip("/").rpartition(":")[2])


@contextlib.contextmanager
def running(command: list, core: int | None, **environment: str) -> Iterator[Server]:
    """Run a server, on one core if that is given, and end it."""
    pinned = ["taskset", "-c", str(core)] if core is not None else []
    words, variables = [*pinned, *map(str, command)], {**os.environ, **environment}
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(words, env=variables, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            yield Server(process, errors)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def dualmode_server(args: argparse.Namespace) -> Start:
    @contextlib.contextmanager
    def start() -> Iterator[tuple[int, int]]:
        most = str(max(args.streams) + 10)
        command = [sys.executable, "-m", "dualmode.bin.serve", args.model, "--port", 0, "--threads", 1]
        with running([*command, "--max-clients", most, "--max-connections", most], args.core) as one:
            yield one.pid, one.port()

    return start


def sherpa_server(args: argparse.Namespace, precision: str) -> Start:
    import sherpa_onnx

    library = Path(sherpa_onnx.__file__).parent / "lib"

    @contextlib.contextmanager
    def start() -> Iterator[tuple[int, int]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        words = {
            "port": port,
            "tokens": args.onnx / "tokens.txt",
            "zipformer2-ctc-model": args.onnx / onnx_file(precision),
        }
        words |= {"num-work-threads": 1, "num-io-threads": 1, "max-batch-size": 16, "log-file": os.devnull}
        command = [args.sherpa.absolute(), *(f"--{name}={value}" for name, value in words.items())]
        with running(command, args.core, LD_LIBRARY_PATH=str(library)) as one:
            for _ in range(200):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.1)
            yield one.pid, port

    return start
