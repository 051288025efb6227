"""Small Kaldi folders with real audio files."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from dualmode.data.kaldi_dir import write_kaldi_dir


def tone(seconds: float, sample_rate: int = 16000) -> np.ndarray:
    """Return a quiet 440 Hz tone."""
    return 0.1 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * sample_rate)) / sample_rate)


@pytest.fixture
def good_dir(tmp_path: Path) -> Path:
    """A folder of four utterances a-0 .. a-3 of 0.5 s, by the speaker a, "hello world" each."""
    utts = [f"a-{number}" for number in range(4)]
    for utt in utts:
        soundfile.write(tmp_path / f"{utt}.wav", tone(0.5), 16000)
    write_kaldi_dir(
        tmp_path / "data",
        wav_scp={utt: tmp_path / f"{utt}.wav" for utt in utts},
        utt2spk=dict.fromkeys(utts, "a"),
        text=dict.fromkeys(utts, "hello world"),
        utt2dur=dict.fromkeys(utts, 0.5),
    )
    return tmp_path / "data"
