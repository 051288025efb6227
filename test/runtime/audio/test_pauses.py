"""Pieces of long recordings: nothing is lost, none is too long, and pauses are where they are cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode_runtime.audio.pauses import pieces


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 1500), st.sampled_from([0.0, 0.001, 0.3])), max_size=12),
    st.integers(1, 20_000),
    st.sampled_from([1000, 3000, 7000]),
)
def test_pieces_are_the_recording_and_blocks_change_nothing(parts, size, max_ms):
    random = np.random.default_rng(0)
    spans = [loudness * random.standard_normal(16 * ms).astype(np.float32) for ms, loudness in parts]
    signal = np.concatenate([np.zeros(0, np.float32), *spans]).astype(np.float32)
    found = list(pieces([signal], max_ms))
    assert np.array_equal(np.concatenate([piece.samples for piece in found]), signal)
    assert all(piece.end_ms - piece.start_ms == len(piece.samples) / 16 <= max_ms for piece in found)
    assert [piece.start_ms for piece in found] == [0.0, *(piece.end_ms for piece in found[:-1])]
    assert [piece.last for piece in found] == [False] * (len(found) - 1) + [True]
    in_blocks = pieces((signal[start : start + size] for start in range(0, len(signal), size)), max_ms)
    assert [piece.end_ms for piece in in_blocks] == [piece.end_ms for piece in found]
    assert len(found) > 1 or len(signal) <= 16 * max_ms


def talk(*spans):
    """Noise of the given (seconds, loudness)."""
    random = np.random.default_rng(1)
    return np.concatenate([loud * random.standard_normal(int(16000 * s)).astype(np.float32) for s, loud in spans])


def test_a_long_recording_is_cut_in_its_pauses():
    # 0 ... 4 s, a pause; 4.6 ... 6 s, too soon for another piece; 6.6 ... 9 s, 9.8 ... 12 s
    signal = talk((4, 0.1), (0.6, 0.001), (1.4, 0.1), (0.6, 0.001), (2.4, 0.1), (0.8, 0.001), (2.2, 0.1))
    assert len(list(pieces([signal], 12_000))) == 1
    ends = [piece.end_ms for piece in pieces([signal], 8_000)]
    assert ends == [pytest.approx(4300, abs=20), pytest.approx(9400, abs=20), 12000]


def test_without_a_pause_the_quietest_moment_is_taken():
    signal = talk((3.5, 0.1), (0.25, 0.05), (4.25, 0.1))
    first, *_ = pieces([signal], 5_000)
    assert first.end_ms == pytest.approx(3625, abs=40)


def test_silence_is_cut_late_rather_than_early():
    assert [piece.end_ms for piece in pieces([np.zeros(16 * 2500, np.float32)], 1000)] == [900, 1800, 2500]
