"""A LibriSpeech of a few seconds, in the real layout."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

LOCAL = Path(__file__).parents[2] / "egs" / "librispeech" / "local"
SPEAKERS = """; reader_id: the ID of the reader
;ID  |SEX| SUBSET           |MINUTES| NAME
14   | F | train-clean-100  | 25.03 | Kristin LeMoine
140  | M | train-clean-100  | 25.11 | Somebody | with a bar
2    | F | dev-clean        | 8.02  | Another
"""


def _write_flac(path: Path, seconds: float = 0.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * np.random.default_rng(len(path.name)).standard_normal(round(seconds * 16000))
    soundfile.write(path, samples, 16000, subtype="PCM_16")


def _write_chapter(part: Path, reader: str, chapter: str, texts: list[str] | None, count: int = 2) -> None:
    """Write ``count`` utterances of 1.0 s, 1.1 s ..., with ``texts`` or without transcripts."""
    folder = part / reader / chapter
    for number in range(count):
        _write_flac(folder / f"{reader}-{chapter}-{number:04d}.flac", 1.0 + 0.1 * number)
    if texts is not None:
        lines = [f"{reader}-{chapter}-{number:04d} {text}\n" for number, text in enumerate(texts)]
        (folder / f"{reader}-{chapter}.trans.txt").write_text("".join(lines))


@pytest.fixture
def write_flac() -> Callable[..., None]:
    """Write noise of some seconds."""
    return _write_flac


@pytest.fixture
def write_chapter() -> Callable[..., None]:
    """Write a chapter of a reader, see :func:`_write_chapter`."""
    return _write_chapter


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder with train-clean-100 (readers 14 and 140), dev-clean (2), and unlabelled train-other-500 (30)."""
    root = tmp_path / "corpora" / "LibriSpeech"
    for reader, chapter in (("14", "208"), ("14", "21"), ("140", "7")):
        _write_chapter(root / "train-clean-100", reader, chapter, ["HELLO WORLD", "GOOD MORNING"])
    _write_chapter(root / "dev-clean", "2", "5", ["GOOD WORLD", "HELLO"])
    _write_chapter(root / "train-other-500", "30", "9", None)
    (root / "SPEAKERS.TXT").write_text(SPEAKERS)
    return root


@pytest.fixture
def prepare(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Run local/prepare.py, writing into tmp_path / "work"."""
    environment = {**os.environ, "PYTHONPATH": f"{LOCAL.parents[2]}:{LOCAL.parents[2]}/runtime"}

    def call(*options: object) -> subprocess.CompletedProcess:
        command = [sys.executable, LOCAL / "prepare.py", "--out", tmp_path / "work", *options]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, timeout=300)

    return call
