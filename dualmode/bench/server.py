"""How many streams in real time one core holds: ``dualmode serve`` and sherpa-onnx's own server, in turns.

A server has one core, the clients the others. Each stream sends float samples, 100 ms at a time, as a microphone
would. The delay of a text is from the piece of audio that made it possible, as the same engine says when it has
nothing else to do, until it came. A number of streams is held where 95 % of delays are below --bound-ms and no
utterance is lost; of a server that does not hold one number, larger ones are not tried.
"other" are utterances with another text than the engine's alone: sherpa-onnx rounds a batch's activations together.
"""

import argparse
import asyncio
import itertools
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dualmode.bench.load import DUALMODE, PIECE_MS, SHERPA, Dialect, Heard, delays_ms, load
from dualmode.bench.servers import (
    PIECE,
    First,
    Start,
    cpu_seconds,
    dualmode_server,
    first_dualmode,
    first_sherpa,
    memory_mb,
    sherpa_server,
)
from dualmode.cli import at_least, existing_dir, existing_file
from dualmode.errors import UserError
from dualmode.frames import SAMPLE_RATE
from dualmode_runtime.audio.fault import AudioFault
from dualmode_runtime.audio.reading import read_audio

COLUMNS = ("server", "streams", "held", "p50_ms", "p95_ms", "lost", "other", "cpu_percent", "memory_mb")
THREADS = 1  # of each server, whatever --threads says
PAUSE_S = 2.0  # between sentences: an utterance ends in it


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=existing_file, required=True, metavar="DMDL", help="file of pack-device")
    parser.add_argument(
        "--audio", type=existing_file, nargs="+", required=True, metavar="WAV", help="sentences, which clients repeat"
    )
    parser.add_argument("--onnx", type=existing_dir, metavar="DIR", help="folder of export: the same for sherpa-onnx")
    parser.add_argument(
        "--sherpa", type=existing_file, metavar="FILE", help="its sherpa-onnx-online-websocket-server, with --onnx"
    )
    parser.add_argument(
        "--streams", type=at_least(1), nargs="+", default=[50, 100, 200], metavar="N", help="streams at once"
    )
    parser.add_argument(
        "--rounds", type=at_least(1), default=1, metavar="N", help="of all servers in turns; medians count"
    )
    parser.add_argument("--seconds", type=at_least(1.0), default=15, metavar="S", help="audio of a stream")
    parser.add_argument("--bound-ms", type=at_least(0.0), default=300, metavar="MS", help="of 95 %% of delays, to hold")
    parser.add_argument(
        "--core", type=at_least(0), default=0, metavar="N", help="of the server; clients have the others"
    )


def measure(args: argparse.Namespace) -> list[dict]:
    """Return a row for each server and number of streams."""
    if (args.onnx is None) != (args.sherpa is None):
        raise UserError("--onnx and --sherpa go together")
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        raise UserError("this needs Linux and two cores: one of them is the server's")
    recordings = [recording(args.audio, number, args.seconds) for number in range(4)]
    audio = [[samples[at : at + PIECE].tobytes() for at in range(0, len(samples), PIECE)] for samples in recordings]
    servers = {"dualmode": (dualmode_server(args), DUALMODE, [first_dualmode(args.model, one) for one in recordings])}
    if args.onnx:
        for precision in ("int8", "fp32"):
            first = [first_sherpa(args.onnx, precision, one) for one in recordings]
            servers[f"sherpa-onnx {precision}"] = sherpa_server(args, precision), SHERPA, first
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores - {args.core})
    found: dict[tuple[str, int], list[dict]] = {}
    for _ in range(args.rounds):
        full: set[str] = set()
        for streams, name in itertools.product(sorted(args.streams), servers):
            if name not in full:
                start, dialect, first = servers[name]
                row = one_run(start, dialect, first, audio, streams)
                if not holds(row, args.bound_ms):
                    full.add(name)
                found.setdefault((name, streams), []).append(row)
                print(f"{name}, {streams} streams: {row}", file=sys.stderr, flush=True)
    os.sched_setaffinity(0, cores)
    return [_row(name, streams, rows, args.bound_ms) for (name, streams), rows in sorted(found.items())]


def _row(name: str, streams: int, rows: list[dict], bound_ms: float) -> dict:
    middle = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
    total = {key: sum(row[key] for row in rows) for key in ("lost", "other")}
    held = f"{sum(holds(row, bound_ms) for row in rows)} of {len(rows)}"
    return {"server": name, "streams": streams, "held": held, **middle, **total}


def holds(row: dict, bound_ms: float) -> bool:
    """Whether a server held its streams in one run."""
    return row["p95_ms"] <= bound_ms and not row["lost"]


def recording(files: Sequence[Path], number: int, seconds: float) -> np.ndarray:
    """Return sentences with pauses between them, (samples,) float32; each number begins with another one, and later.

    Raises:
        UserError: a file is no audio, or is damaged.
    """
    pause = np.zeros(int(PAUSE_S * SAMPLE_RATE), np.float32)
    try:
        sentences = [np.concatenate([read_audio(path, SAMPLE_RATE), pause]) for path in files]
    except AudioFault as fault:
        raise UserError(fault.detail) from fault
    count = int(seconds * SAMPLE_RATE)
    order = [sentences[(number + n) % len(sentences)] for n in range(1 + count // min(map(len, sentences)))]
    return np.concatenate([np.zeros(1600 * number, np.float32), *order])[:count]


def one_run(
    start: Start,
    dialect: Dialect,
    first: list[First],
    audio: list[list[bytes]],
    streams: int,
) -> dict:
    """Let so many clients speak to a new server; return delays, what was lost, and what it cost."""
    with start() as (pid, port):
        cpu = cpu_seconds(pid)
        heard = asyncio.run(load(dialect, port, audio, streams))
        seconds = len(audio[0]) * PIECE_MS / 1000  # the work of that much audio, however long it took
        cpu, memory = cpu_seconds(pid) - cpu, memory_mb(pid)
    delays = [ms for n, one in enumerate(heard) for ms in delays_ms(one, first[n % len(first)])]
    wrong = [wrong_utterances(one, first[n % len(first)]) for n, one in enumerate(heard)]
    p50, p95 = np.percentile(delays, [50, 95]) if delays else (float("inf"),) * 2
    return {
        "p50_ms": float(p50),
        "p95_ms": float(p95),
        "lost": sum(lost for lost, _ in wrong),
        "other": sum(other for _, other in wrong),
        "cpu_percent": 100 * cpu / seconds,
        "memory_mb": memory,
    }


def wrong_utterances(heard: Heard, first: First) -> tuple[int, int]:
    """Return how many utterances a client was not told, and how many have another text than the engine's alone."""
    last = {utterance: text for utterance, text in first}  # the last text of an utterance is the one that stands
    lost = sum(utterance not in heard.texts for utterance in last)
    return lost, sum(heard.texts.get(utterance, text) != text for utterance, text in last.items())
