import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode.data.fbank import SILENCE, OnlineFbank, fbank

NOISE = (0.1 * np.random.default_rng(0).standard_normal(6000)).astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "frames"), [(0, 0), (79, 0), (80, 1), (239, 1), (240, 2), (400, 3), (1599, 10), (1600, 10)]
)
def test_frames_are_counted_by_their_centres(samples, frames):
    features = fbank(NOISE[:samples])
    assert features.shape == (frames, 80) == ((samples + 80) // 160, 80)
    assert features.dtype == np.float32


def test_digital_silence_is_the_log_of_the_smallest_step():
    assert SILENCE == pytest.approx(-15.9424, abs=1e-4)  # log(2**-23)
    assert np.allclose(fbank(np.zeros(1600, dtype=np.float32)), SILENCE, atol=1e-4)


def test_ten_times_the_amplitude_adds_log_100_to_every_bin():
    difference = fbank(10 * NOISE) - fbank(NOISE)
    assert np.allclose(difference, np.log(100.0), atol=1e-3)


def test_a_tone_is_loudest_in_the_bin_of_its_frequency():
    # Mel points from 20 to 7600 Hz, 80 bins: 1000 Hz is 1000 mel (nearly), so bin (1000 - 31.7) / 34.6 - 1 = 27.
    features = fbank((0.1 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 16000)).astype(np.float32))
    mel = [1127 * np.log(1 + hertz / 700) for hertz in (20, 1000, 7600)]
    expected = round((mel[1] - mel[0]) / ((mel[2] - mel[0]) / 81) - 1)
    assert set(features[5:-5].argmax(axis=1)) == {expected}


def test_no_dither():
    assert np.array_equal(fbank(NOISE), fbank(NOISE))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 6000), st.lists(st.integers(0, 700), max_size=30))
def test_pieces_of_any_size_give_the_bits_of_the_whole(length, sizes):
    samples = NOISE[:length]
    extractor, taken, start = OnlineFbank(), [], 0
    for size in [*sizes, length]:
        extractor.accept_waveform(samples[start : start + size])
        start += size
        taken.append(extractor.take())
        # A frame is ready as soon as its last sample, 160 t + 280, is there.
        heard = min(start, length)
        assert extractor.frames_ready == max((heard - 280) // 160 + 1, 0)
    extractor.input_finished()
    taken.append(extractor.take())
    assert np.array_equal(np.concatenate(taken), fbank(samples))


def test_nothing_may_follow_the_end():
    extractor = OnlineFbank()
    extractor.input_finished()
    extractor.input_finished()
    with pytest.raises(ValueError, match="input_finished"):
        extractor.accept_waveform(NOISE)


def test_two_channels_are_refused():
    with pytest.raises(ValueError, match="one channel"):
        fbank(np.zeros((2, 1600), dtype=np.float32))
