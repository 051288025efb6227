import os
import pickle

import numpy as np
import pytest
import soundfile

from dualmode_runtime.audio.fault import AudioFault, Reason
from dualmode_runtime.audio.reading import open_header, read_audio


def fault(path) -> AudioFault:
    with pytest.raises(AudioFault) as error:
        read_audio(path, 16000)
    assert str(path) in error.value.detail
    return error.value


def test_full_scale_is_one(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([0, 16384, -32768], dtype=np.int16), 16000)
    samples = read_audio(tmp_path / "a.wav", 16000)
    assert samples.dtype == np.float32
    assert samples.tolist() == [0.0, 0.5, -1.0]


def test_missing_file(tmp_path):
    assert fault(tmp_path / "a.wav").reason is Reason.MISSING_FILE


def test_empty_files(tmp_path):
    (tmp_path / "bytes.wav").touch()
    soundfile.write(tmp_path / "samples.wav", np.zeros(0), 16000)
    assert fault(tmp_path / "bytes.wav").reason is Reason.EMPTY_AUDIO
    assert fault(tmp_path / "samples.wav").reason is Reason.EMPTY_AUDIO


def test_undecodable_file(tmp_path):
    (tmp_path / "a.wav").write_text("I am no audio")
    assert fault(tmp_path / "a.wav").reason is Reason.UNDECODABLE


@pytest.mark.parametrize("extension", ["flac", "mp3"])
def test_file_cut_off(tmp_path, extension):
    path = tmp_path / f"a.{extension}"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(16000), 16000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert fault(path).reason is Reason.UNDECODABLE


def test_wav_cut_off(tmp_path):
    # libsndfile would read it as a shorter file.  16000 samples: 44 bytes of header, 32000 of samples.
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(16000), 16000)
    whole = path.read_bytes()
    assert len(whole) == 32044
    path.write_bytes(whole[:30044])
    found = fault(path)
    assert found.reason is Reason.UNDECODABLE
    assert "cut off: its last 2000 bytes are missing" in found.detail


def test_wav_from_a_pipe_has_no_length_and_is_whole(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(800), 16000)
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + b"\xff" * 4 + whole[8:40] + b"\xff" * 4 + whole[44:])
    assert len(read_audio(path, 16000)) == 800


def test_other_sample_rate(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(800), 8000)
    found = fault(tmp_path / "a.wav")
    assert found.reason is Reason.SAMPLE_RATE
    assert "8000 Hz, expected 16000 Hz" in found.detail


def test_stereo(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((800, 2)), 16000)
    assert fault(tmp_path / "a.wav").reason is Reason.NOT_MONO


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers(tmp_path, value):
    samples = np.zeros(800, dtype=np.float32)
    samples[[7, 9]] = value
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
    found = fault(tmp_path / "a.wav")
    assert found.reason is Reason.NOT_FINITE
    assert "2 NaN or infinite samples, the first at 7" in found.detail


def test_samples_on_the_integer_scale(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full(800, 12000.0), 16000, subtype="FLOAT")
    assert fault(tmp_path / "a.wav").reason is Reason.BAD_SCALE


def test_fault_survives_the_way_back_from_a_worker():
    found = pickle.loads(pickle.dumps(AudioFault(Reason.NOT_MONO, "x.wav")))
    assert (found.reason, found.detail) == (Reason.NOT_MONO, "x.wav")


def test_impossible_rates_and_names(tmp_path):
    for rate in (1, 3999, 400_000):
        soundfile.write(tmp_path / "x.wav", np.zeros(16), rate)
        with pytest.raises(AudioFault, match=f"has {rate} Hz: expected 4000 to 384000 Hz"):
            open_header(tmp_path / "x.wav")
    with pytest.raises(AudioFault, match=r"udcff.*is not UTF-8: rename the file"):
        open_header(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.wav"))


@pytest.mark.parametrize("name", ["junk.mp3", "text.wav", "README.md"])
def test_what_is_no_audio_is_told_what_can_be_read(tmp_path, name):
    path = tmp_path / name
    path.write_text("hello")
    with pytest.raises(AudioFault) as error:
        read_audio(path, 16000)
    assert error.value.reason is Reason.UNDECODABLE
    assert error.value.detail.startswith(f"{path} cannot be read as audio")
    assert "WAV, FLAC, MP3, Ogg" in error.value.detail and "does not exist" not in error.value.detail
