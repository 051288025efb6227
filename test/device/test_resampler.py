"""The engine's resampler against tones, whose samples at the other rate are known, and against pieces of itself."""

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode.device.pack import pack_model
from dualmode.errors import UserError
from dualmode_runtime.engine import Device, _call, _floats, resample

RATES = (8000, 11025, 12000, 22050, 24000, 32000, 44100, 48000, 96000)


def tone(hertz, rate, count):
    return np.sin(2 * np.pi * hertz * np.arange(count) / rate + 0.3).astype(np.float32)


@pytest.mark.parametrize("rate", RATES)
def test_tones_keep_their_time_and_height(library, rate):
    """An ideal resampler of a tone gives the tone; the edges hear the silence around it."""
    count = rate // 4
    for hertz in (50, 440, 3000, 0.9 * min(rate, 16000) / 2):
        ours = resample(tone(hertz, rate, count), rate, library)
        assert len(ours) == -(-count * 16000 // rate)
        error = (ours - tone(hertz, 16000, len(ours)))[500:-500]
        assert np.abs(error).max() < 10 ** (-80 / 20), hertz


@pytest.mark.parametrize("rate", [rate for rate in RATES if rate > 17200])
def test_what_16_khz_cannot_hold_is_gone(library, rate):
    for hertz in np.linspace(8650, rate / 2, 5)[:-1]:
        ours = resample(tone(hertz, rate, rate // 4), rate, library)
        assert np.abs(ours[500:-500]).max() < 10 ** (-80 / 20), hertz


@pytest.mark.parametrize("rate", [8000, 44100])
def test_speech_like_noise_is_that_of_soxr(library, rate):
    noise = np.random.default_rng(0).standard_normal(rate).astype(np.float32)
    noise = soxr.resample(soxr.resample(noise, rate, 6000), 6000, rate)[
        : rate // 2
    ]  # nothing near the edge of the band
    ours, theirs = resample(noise, rate, library), soxr.resample(noise, rate, 16000)
    inner = slice(500, 7500)  # the edges are steps, of which each filter makes something else
    assert np.abs(ours[inner] - theirs[inner]).max() < 1e-3


@settings(deadline=None, max_examples=30)
@given(rate=st.sampled_from(RATES), cuts=st.lists(st.integers(0, 12000), max_size=8))
def test_pieces_change_nothing(model, library, rate, cuts):
    recogniser, subnet = model()
    samples = np.random.default_rng(1).uniform(-1, 1, 12000).astype(np.float32)
    file = pack_model(recogniser, "char", subnet, "fp32")
    whole, pieces = Device.open(file, library=library), Device.open(file, library=library)
    whole.accept_samples(resample(samples, rate, library))
    for piece in np.split(samples, sorted(cuts)):
        pieces.accept_samples(piece, rate)
    for device in (whole, pieces):
        device.finish()
    assert pieces.tokens == whole.tokens
    assert pieces.end_ms == pytest.approx(1000 * 12000 / rate, abs=0.1)


@pytest.mark.parametrize("rate", [-1, 0, 3999, 44101, 400000])
def test_odd_rates_are_refused(library, rate):
    said = f"^audio of {rate} Hz cannot be resampled to 16000 Hz here: expected 4000 to 384000 Hz, a multiple of 25, "
    with pytest.raises(UserError, match=f"{said}32 or 40$"):
        resample(np.zeros(100), rate, library)


def test_an_odd_rate_leaves_the_one_before(model, library):
    recogniser, subnet = model()
    device = Device.open(pack_model(recogniser, "char", subnet, "fp32"), library=library)
    _call(library, "dualmode_set_rate", device._handle, 8000)
    with pytest.raises(UserError, match="audio of 12345 Hz cannot be resampled"):
        _call(library, "dualmode_set_rate", device._handle, 12345)
    samples = np.zeros(8000, np.float32)
    _call(library, "dualmode_accept_samples", device._handle, _floats(samples), len(samples))
    device.finish()
    assert device.end_ms == 1000  # at 16 kHz it were 500
