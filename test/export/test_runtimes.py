"""How audio is cut for sherpa-onnx."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dualmode.data.fbank import fbank
from dualmode.export.runtimes import padded
from dualmode.frames import subsampled


@given(samples=st.integers(0, 30_000), chunk=st.integers(1, 20), right=st.integers(0, 4))
def test_padding_runs_every_chunk_that_holds_audio_and_none_more(samples, chunk, right):
    window, shift = 4 * (chunk + right) + 3, 4 * chunk
    audio = padded(np.ones(samples, np.float32), window, shift)
    assert (audio[:samples] == 1).all() and not audio[samples:].any()
    ready, run = (len(audio) + 80) // 160, 0
    while run * shift + window < ready:  # as sherpa-onnx decides
        run += 1
    frames = (samples + 80) // 160
    assert run == max(-(-subsampled(frames) // chunk), 1)


def test_the_drawn_example():
    assert len(fbank(padded(np.zeros(160 * 104, np.float32), 67, 64))) == 132
