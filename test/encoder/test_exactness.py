"""The whole model, from audio in pieces of any size to the same tokens, for random models and contexts."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode.encoder.check import TOLERANCE, compare, pieces_of
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.supernet.pruning import estimate_masks
from dualmode.supernet.subnet import Context, Subnet


def random_model(seed: int, heads: int, kernel: int, blocks: int, separate: bool):
    """A model whose features are spread as real ones are, and a head of 30 tokens."""
    torch.manual_seed(seed)
    encoder = DualModeEncoder(
        EncoderConfig(
            output_size=16 * heads,
            num_blocks=blocks,
            attention_heads=heads,
            linear_units=64,
            kernel_size=kernel,
            subsampling_channels=4,
            separate_norms=separate,
            sparsities=(0.5, 0.8),
        )
    )
    encoder.normalize.mean.fill_(-9.0)
    encoder.normalize.std.fill_(3.0)
    estimate_masks(encoder, encoder.config.pruning)
    head = torch.nn.Linear(16 * heads, 30)
    return encoder.eval(), lambda x: head(x).log_softmax(dim=-1)


@settings(deadline=None, max_examples=200)
@given(
    seed=st.integers(0, 2**16),
    heads=st.integers(1, 3),
    kernel=st.sampled_from([1, 3, 7, 15]),
    blocks=st.integers(1, 3),
    separate=st.booleans(),
    sparsity=st.sampled_from([0.0, 0.5, 0.8]),
    chunk=st.integers(1, 20),
    left=st.integers(0, 40),
    right=st.integers(0, 8),
    samples=st.integers(0, 48000),
)
def test_streaming_is_the_masked_pass(seed, heads, kernel, blocks, separate, sparsity, chunk, left, right, samples):
    encoder, posteriors = random_model(seed, heads, kernel, blocks, separate)
    random = np.random.default_rng(seed)
    audio = (0.1 * random.standard_normal(samples)).astype(np.float32)
    subnet = Subnet(sparsity, Context(chunk, left, right))
    result = compare(encoder, audio, subnet, list(pieces_of(audio, random)), posteriors)
    assert result.differences["features"] == 0.0
    assert max(result.differences.values()) <= TOLERANCE
    assert result.equal


def test_long_audio_stays_equal():
    """40 s: a thousand frames, far past every cache."""
    encoder, posteriors = random_model(0, 2, 7, 2, True)
    random = np.random.default_rng(0)
    audio = (0.1 * random.standard_normal(40 * 16000)).astype(np.float32)
    result = compare(encoder, audio, Subnet(0.8, Context(4, 12, 1)), list(pieces_of(audio, random)), posteriors)
    assert result.equal


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0])
def test_silence_and_clipped_audio(value):
    encoder, posteriors = random_model(0, 2, 7, 2, True)
    audio = np.full(20000, value, dtype=np.float32)
    result = compare(encoder, audio, Subnet(0.5, Context(3, 5)), [audio], posteriors)
    assert result.equal
    assert all(np.isfinite(difference) for difference in result.differences.values())
