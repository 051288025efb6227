"""What a client and the server say on a stream's WebSocket; docs/how-to/serve.md explains it."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dualmode.config import from_mapping
from dualmode.errors import UserError

VERSION = 1
TYPES: dict[str, np.dtype] = {"s16le": np.dtype("<i2"), "f32le": np.dtype("<f4")}
RATES = (8000, 192000)  # Hz, from and to; a browser's microphone has the rate of the sound card
STEPS = (25, 32, 40)  # Hz; of one of them it is a multiple, or the engine cannot resample it (csrc/resampler.cpp)
LONGEST_MS = 60_000  # of an utterance, whose audio is kept for the second pass
MOST_JSON = 4096  # characters of a message of a client


@dataclass(frozen=True)
class Hello:
    """A client's first message.

    Attributes:
        sample_rate: Hz.
        format: of the samples, one channel: "s16le" or "f32le".
        token: where the server wants one.
        second_pass: whether the dense sub-network hears each utterance again, if the server has it.
        partials: whether the growing text is sent.
        silence_ms, max_utterance_ms: see :class:`dualmode_runtime.endpoint.Endpointing`.

    Raises:
        UserError: a value is impossible.
    """

    sample_rate: int
    format: str = "s16le"
    token: str | None = field(default=None, repr=False)
    second_pass: bool = True
    partials: bool = True
    silence_ms: float = 1000
    max_utterance_ms: float = 30000

    def __post_init__(self):
        if not RATES[0] <= self.sample_rate <= RATES[1]:
            raise UserError(f"sample_rate is {self.sample_rate}: it must be from {RATES[0]} to {RATES[1]} Hz")
        if all(self.sample_rate % step for step in STEPS):
            steps = f"{STEPS[0]}, {STEPS[1]} or {STEPS[2]}"
            raise UserError(f"sample_rate is {self.sample_rate}: it must be a multiple of {steps} Hz")
        if self.format not in TYPES:
            raise UserError(f"format is {self.format!r}: it must be one of {', '.join(TYPES)}")
        for name in ("silence_ms", "max_utterance_ms"):
            if not 0 < getattr(self, name) <= LONGEST_MS:
                raise UserError(f"{name} is {getattr(self, name)}: it must be above 0, and at most {LONGEST_MS}")

    @property
    def bytes_per_ms(self) -> float:
        return self.sample_rate * TYPES[self.format].itemsize / 1000


def read_json(text: str) -> dict[str, Any]:
    """Return the object in a client's text message; UserError if it is something else."""
    try:
        if len(text) > MOST_JSON:
            raise ValueError
        value = json.loads(text)
        if not isinstance(value, dict):
            raise ValueError
    except (ValueError, RecursionError):
        raise UserError(f"a text message must be a JSON object of at most {MOST_JSON} characters") from None
    return value


def read_hello(text: str) -> Hello:
    """Return a client's first message.

    >>> read_hello('{"sample_rate": 16000}').format
    's16le'

    Raises:
        UserError: it is something else, or asks for what is impossible.
    """
    return from_mapping(Hello, read_json(text), "the first message")


def as_samples(data: bytes, format: str) -> np.ndarray:
    """Return whole samples (n,), int16 or float32, of a stream's bytes."""
    return np.frombuffer(data, TYPES[format]).astype(TYPES[format].newbyteorder("="), copy=False)


def message(kind: str, **values: Any) -> str:
    """Return a message of the server."""
    return json.dumps({"type": kind, **values}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
