"""Recordings of tones, whose pitch tells which part of which channel was taken."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile


def tone(hz: float, seconds: float, rate: int) -> np.ndarray:
    return 0.1 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def pitch(path: str | Path) -> float:
    """Return the strongest frequency of a file, in Hz."""
    samples, rate = soundfile.read(path)
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * rate / len(samples))


@pytest.fixture
def record(tmp_path):
    """Return a function that writes a recording of tones, a second each, and returns its path."""

    def record(name: str, *hz: float, rate: int = 16000, **kwargs) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.concatenate([tone(one, 1.0, rate) for one in hz]), rate, **kwargs)
        return path

    return record


@pytest.fixture
def manifest(tmp_path):
    """Return a function that writes a manifest of JSON lines."""

    def manifest(*records: dict, name: str = "all.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
        return path

    return manifest


@pytest.fixture
def heard():
    return pitch
