"""A sub-network of whole units, sliced, computes what the masked supernet computes."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.encoder.slicing import slice_encoder
from dualmode.encoder.streaming import StreamingEncoder
from dualmode.errors import UserError
from dualmode.supernet.pruning import check_masks, estimate_masks
from dualmode.supernet.storage import kept_parameters
from dualmode.supernet.subnet import Context, Subnet
from dualmode.supernet.view import ALL, View

CONFIG = EncoderConfig(
    input_size=16, output_size=24, num_blocks=2, attention_heads=4, linear_units=40, kernel_size=5,
    subsampling_channels=4, sparsities=(0.5, 0.9), granularity="units", separate_norms=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    encoder = DualModeEncoder(CONFIG).eval()
    for parameter in encoder.parameters():  # norms and biases are not what they start as
        torch.nn.init.normal_(parameter, std=0.3)
    estimate_masks(encoder, CONFIG.pruning)
    check_masks(encoder, CONFIG.pruning)
    return encoder


@settings(deadline=None, max_examples=30)
@given(
    level=st.sampled_from([1, 2]),
    chunk=st.sampled_from([None, 1, 4]),
    lengths=st.lists(st.integers(7, 80), min_size=1, max_size=3),
    seed=st.integers(0, 2**16),
)
@torch.inference_mode()
def test_sliced_is_masked(encoder, level, chunk, lengths, seed):
    sliced = slice_encoder(encoder, View(level, whole=True))
    features = torch.randn(len(lengths), max(lengths), 16, generator=torch.Generator().manual_seed(seed))
    context = Context() if chunk is None else Context(chunk, 3)
    masked, frames = encoder(features, torch.tensor(lengths), Subnet(CONFIG.sparsities[level - 1], context))
    small, _ = sliced(features, torch.tensor(lengths), Subnet(0.0, context))
    for one, other, count in zip(masked, small, frames, strict=True):
        assert torch.allclose(one[:count], other[:count], rtol=0, atol=1e-5)


def test_sliced_is_smaller_and_streams(encoder):
    sliced = slice_encoder(encoder, View(2, whole=True))
    # A tenth of 40 hidden units and 24 channels, and at least one of four heads.
    config = sliced.config
    assert (config.linear_units, config.convolution_channels, config.attention_heads) == (4, 2, 1)
    assert (
        kept_parameters(sliced, ALL)
        < kept_parameters(slice_encoder(encoder, View(1, whole=True)), ALL)
        < kept_parameters(encoder, ALL)
    )
    features, subnet = torch.randn(50, 16), Subnet(0.0, Context(4, 3))
    [streamed] = StreamingEncoder(sliced, subnet).accept([features], [True])
    with torch.inference_mode():
        parallel, _ = sliced(features[None], torch.tensor([50]), subnet)
    assert torch.allclose(streamed, parallel[0], atol=1e-4)


def test_gradient_of_the_sparse_branch_stays_within_its_units(encoder):
    block = encoder.blocks[0]
    layout = encoder.layout(torch.tensor([6]), 6, Context())
    block(torch.randn(1, 6, 24), View(1, whole=True), layout).sum().backward()
    for layer in (block.ffn1.up, block.attention.qkv, block.convolution.project):
        assert not layer.weight.grad[~layer.masks[0]].any() and layer.weight.grad[layer.masks[0]].any()
    encoder.zero_grad()


def test_masks_of_blocks_cannot_be_sliced():
    config = replace(CONFIG, granularity="blocks", block=(4, 4))
    encoder = DualModeEncoder(config)
    estimate_masks(encoder, config.pruning)
    with pytest.raises(UserError, match="cuts through units"):
        slice_encoder(encoder, View(1, whole=True))
