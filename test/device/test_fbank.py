"""Features and files of the program, against those that training uses."""

import ctypes

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode.data.fbank import fbank as kaldi_fbank
from dualmode.device.pack import pack_model
from dualmode_runtime.engine import Device, fbank

RATE = 16000


def tone(count, seed=0):
    rng, time = np.random.default_rng(seed), np.arange(count) / RATE
    wave = 0.3 * np.sin(2 * np.pi * rng.uniform(100, 4000) * time) + 0.01 * rng.standard_normal(count)
    return wave.astype(np.float32)


def assert_same_features(ours, theirs):
    """Equal to 0.2 %, or to a millionth of the frame's loudest bin: an FFT in single precision rounds relative to
    the frame's energy, and the logarithm of a bin that is nearly empty shows it."""
    ours, theirs = np.exp(np.float64(ours)), np.exp(np.float64(theirs))
    loudest = theirs.max(axis=1, keepdims=True, initial=0)
    assert ours.shape == theirs.shape and (abs(ours - theirs) <= 2e-3 * theirs + 1e-6 * loudest).all()


@settings(deadline=None, max_examples=40)
@given(count=st.integers(0, 4000), scale=st.sampled_from([0.0, 1e-5, 1e-2, 1.0]), seed=st.integers(0, 2**16))
def test_features_are_those_of_kaldi_native_fbank(library, count, scale, seed):
    samples = (scale * np.random.default_rng(seed).uniform(-1, 1, count)).astype(np.float32)
    assert_same_features(fbank(samples, library), kaldi_fbank(samples))


@pytest.mark.parametrize("wave", [tone(40000), np.zeros(4000, np.float32), np.eye(1, 8000, 4000, dtype=np.float32)[0]])
def test_features_of_tones_silence_and_clicks(library, wave):
    assert_same_features(fbank(wave, library), kaldi_fbank(wave))


def test_all_frames_are_counted_and_no_more_written_than_there_is_room_for(library):
    wave = tone(50000)
    whole, part = fbank(wave, library), np.zeros((len(fbank(wave, library)), 80), np.float32)
    at = ctypes.POINTER(ctypes.c_float)
    samples = wave.ctypes.data_as(at)
    for room in (0, 1, 100, len(whole)):
        assert library.dualmode_fbank(samples, len(wave), part.ctypes.data_as(at), room) == len(whole) == 313
        np.testing.assert_array_equal(part[:room], whole[:room])
        assert not part[room:].any()


def test_samples_in_pieces_are_the_features_of_the_whole(model, library):
    recogniser, subnet = model()
    file, wave = pack_model(recogniser, "char", subnet, "fp32"), tone(50001)
    whole = Device.open(file, library=library)
    whole.accept_features(kaldi_fbank(wave))
    whole.finish()
    pieces = Device.open(file, library=library)
    for piece in np.split(wave, [1, 100, 279, 280, 20000, 20001, 49990]):
        pieces.accept_samples(piece)
    pieces.finish()
    assert pieces.tokens == whole.tokens and len(whole.tokens) > 3


@pytest.fixture
def files(model, tmp_path):
    recogniser, subnet = model()
    (tmp_path / "model.dmdl").write_bytes(pack_model(recogniser, "char", subnet, "int8"))
    return tmp_path


def test_the_program_hears_what_python_hears(files, program, library):
    wave = np.round(tone(30000) * 32768) / 32768
    soundfile.write(files / "a.wav", wave, RATE, "PCM_16")
    soundfile.write(files / "b.wav", wave.astype(np.float32), RATE, "FLOAT")
    np.save(files / "c.npy", kaldi_fbank(wave.astype(np.float32)))
    device = Device.open(files / "model.dmdl", library=library)
    device.accept_samples(wave)
    device.finish()
    paths = [files / name for name in ("a.wav", "b.wav", "c.npy")]
    result = program(files / "model.dmdl", *paths)
    assert result.stderr == "" and result.returncode == 0
    assert result.stdout.splitlines() == [f"{path} {device.text}" for path in paths] and device.text
    assert program("--kernels", "portable", files / "model.dmdl", paths[0]).stdout.startswith(f"{paths[0]} ")


def test_files_that_cannot_be_used_are_one_sentence(files, program):
    soundfile.write(files / "odd.wav", np.zeros(100), 16001)
    soundfile.write(files / "stereo.wav", np.zeros((100, 2)), RATE)
    soundfile.write(files / "deep.wav", np.zeros(100), RATE, "PCM_24")
    soundfile.write(files / "cut.wav", np.zeros(100), RATE)
    (files / "cut.wav").write_bytes((files / "cut.wav").read_bytes()[:-10])
    (files / "text.wav").write_text("no sound")
    np.save(files / "wide.npy", np.zeros((5, 81), np.float32))
    np.save(files / "double.npy", np.zeros((5, 80)))
    reasons = {
        "odd.wav": "audio of 16001 Hz cannot be resampled to 16000 Hz here: expected 4000 to 384000 Hz, a multiple of "
        "25, 32 or 40",
        "stereo.wav": "it has 2 channels: choose one with --channel, or --channel mix",
        "deep.wav": "its samples are neither 16-bit integers nor 32-bit floats",
        "cut.wav": "it is cut off: its last 10 bytes are missing",
        "text.wav": "it is neither a WAV file nor a NumPy array",
        "wide.npy": "its shape is not (frames, 80), or it is cut off",
        "double.npy": "its numbers are not little-endian float32 in C order",
        "gone.wav": "it cannot be opened",
    }
    result = program(files / "model.dmdl", *(files / name for name in reasons))
    assert result.returncode == 2 and result.stdout == ""
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert errors == [f"error: {files / name}: {reason}" for name, reason in reasons.items()]
    assert (
        program(files / "text.wav", files / "odd.wav").stderr
        == f"error: {files / 'text.wav'}: it is too short for a header\n"
    )
    assert program().returncode == 2 and program("--help").returncode == 0
