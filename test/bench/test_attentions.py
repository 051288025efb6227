"""Other attentions for our blocks: ours where they should be, nothing heard of padding."""

import pytest
import torch

from dualmode.bench.attentions import drop_attention, relative_positions
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.encoder.layout import WholeUtterances
from dualmode.supernet.view import ALL


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    encoder = DualModeEncoder(EncoderConfig(output_size=16, num_blocks=1, attention_heads=2, sparsities=(0.0,)))
    torch.nn.init.normal_(encoder.blocks[0].attention.out.weight)
    return encoder


def attend(encoder, x, lengths):
    attention = encoder.blocks[0].attention
    return attention(x, ALL, WholeUtterances.make(torch.tensor(lengths), x.shape[1], attention.head_size, x.dtype))


def test_dropped_attention_is_ours_but_in_training(encoder):
    x = torch.randn(2, 9, 16)
    ours = attend(encoder.eval(), x, [9, 5])
    drop_attention(encoder)
    torch.testing.assert_close(attend(encoder.eval(), x, [9, 5]), ours)
    assert not torch.allclose(attend(encoder.train(), x, [9, 5]), ours)


def test_relative_positions_hear_no_padding_and_tell_frames_apart(encoder):
    relative_positions(encoder)
    x = torch.randn(1, 5, 16)
    alone = attend(encoder.eval(), x, [5])
    padded = attend(encoder, torch.cat([x, torch.full((1, 4, 16), 1e3)], dim=1), [5])
    torch.testing.assert_close(padded[:, :5], alone)
    turned = attend(encoder, x.flip(1), [5]).flip(1)
    assert not torch.allclose(turned, alone)  # without positions, order would not matter


def test_relative_positions_start_as_identity_too(fresh_start):
    encoder = DualModeEncoder(EncoderConfig(output_size=16, num_blocks=1, attention_heads=2, sparsities=(0.0,)))
    relative_positions(encoder, rate=0.1)
    assert not attend(encoder, torch.randn(1, 5, 16), [5]).any()
