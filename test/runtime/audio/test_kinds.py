"""Files are told from samples, and from each other, by how they begin."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from dualmode_runtime.audio.compressed import mp3_frame
from dualmode_runtime.audio.kinds import bytes_to_tell, kind_of

SAMPLES = 0.3 * np.sin(np.arange(20000) * 0.12)
ENDINGS = {"WAV": ".wav", "WAVEX": ".wav", "RF64": ".rf64", "W64": ".w64", "AIFF": ".aiff", "CAF": ".caf", "AU": ".au"}
ENDINGS |= {"NIST": ".sph", "FLAC": ".flac", "OGG": ".ogg", "MP3": ".mp3"}


@pytest.mark.parametrize("container", ENDINGS)
def test_what_libsndfile_writes_is_told_by_its_first_bytes(container):
    memory = io.BytesIO()
    soundfile.write(memory, SAMPLES, 16000, format=container)
    data = memory.getvalue()
    assert kind_of(data[: bytes_to_tell(data[:12])]) == ENDINGS[container]


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_mp3_is_told_by_its_second_frame(rate):
    memory = io.BytesIO()
    soundfile.write(memory, SAMPLES, rate, format="MP3")
    frame = memory.getvalue()[memory.getvalue().index(b"\xff") :]
    length = bytes_to_tell(frame[:12])
    assert 12 < length < 1500 and kind_of(frame[:length]) == ".mp3" and kind_of(frame[: length - 1]) is None
    assert kind_of(frame[:12] + bytes(2000)) is None  # samples that begin as a frame would


@given(st.binary(min_size=12, max_size=2000))
def test_samples_are_no_file(data):
    """But where two headers of MPEG stand as far apart as the first one says, which takes more than chance."""
    frame = mp3_frame(data)
    if data[:4] in (b"RIFF", b"RIFX", b"RF64", b"riff", b"fLaC", b"OggS", b"FORM", b".snd", b"caff", b"\x1aE\xdf\xa3"):
        return
    if data[:3] == b"ID3" or data[:5] == b"#!AMR" or data[4:8] == b"ftyp":
        return
    assert kind_of(data) is None or (frame and mp3_frame(data[frame[0] :]))
