"""The masked parallel pass and the chunk-by-chunk pass are the same function."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode.encoder.frames import EXTRA, FACTOR, subsampled
from dualmode.errors import UserError
from dualmode.supernet.subnet import Context, Subnet

TOLERANCE = 1e-4


def stream(encoder, features, lengths, subnet):
    """Run a batch of streams chunk by chunk; return (batch, frames, d)."""
    shift = FACTOR * subnet.context.chunk
    state = encoder.init_state(len(features), subnet.context)
    outputs, start = [], 0
    while start + FACTOR + EXTRA <= features.shape[1]:
        chunk = features[:, start : start + shift + EXTRA]
        here = (lengths - start).clamp(0, chunk.shape[1])
        output, _, state = encoder.forward_chunk(chunk, here, state, subnet)
        outputs.append(output)
        start += shift
    return torch.cat(outputs, dim=1)


@settings(deadline=None, max_examples=60)
@given(
    chunk=st.integers(1, 20),
    left=st.integers(0, 40),
    sparsity=st.sampled_from([0.0, 0.7]),
    lengths=st.lists(st.integers(7, 300), min_size=1, max_size=4),
    seed=st.integers(0, 2**16),
)
@torch.inference_mode()
def test_stream_equals_masked_pass(encoder, chunk, left, sparsity, lengths, seed):
    subnet = Subnet(sparsity, Context(chunk, left))
    features = torch.randn(len(lengths), max(lengths), 80, generator=torch.Generator().manual_seed(seed))
    lengths = torch.tensor(lengths)
    parallel, frames = encoder(features, lengths, subnet)
    streamed = stream(encoder, features, lengths, subnet)
    for row, count in enumerate(frames.tolist()):
        assert (parallel[row, :count] - streamed[row, :count]).abs().max() <= TOLERANCE


@settings(deadline=None, max_examples=30)
@given(
    context=st.sampled_from([Context(), Context(3, 5), Context(4, 0), Context(5, None)]),
    lengths=st.lists(st.integers(7, 200), min_size=2, max_size=4),
    padding=st.integers(0, 30),
    seed=st.integers(0, 2**16),
)
@torch.inference_mode()
def test_padding_and_batch_order_change_nothing(encoder, context, lengths, padding, seed):
    generator = torch.Generator().manual_seed(seed)
    # What fills the padding must not matter, so it is noise.
    features = torch.randn(len(lengths), max(lengths) + padding, 80, generator=generator)
    batch, frames = encoder(features, torch.tensor(lengths), Subnet(0.7, context))
    order = torch.randperm(len(lengths), generator=generator)
    shuffled, _ = encoder(features[order], torch.tensor(lengths)[order], Subnet(0.7, context))
    for row, (length, count) in enumerate(zip(lengths, frames.tolist(), strict=True)):
        alone, _ = encoder(features[row : row + 1, :length], torch.tensor([length]), Subnet(0.7, context))
        assert (alone[0, :count] - batch[row, :count]).abs().max() <= TOLERANCE
        again = shuffled[(order == row).nonzero().item(), :count]
        assert (again - batch[row, :count]).abs().max() <= TOLERANCE


@torch.inference_mode()
def test_what_a_frame_sees(encoder):
    """Chunk 3, left 2, one block deep: only the frames of the drawing in ``Context`` may matter."""
    one_block = encoder.blocks[0]
    subnet = Subnet(0.0, Context(3, 2))
    from dualmode.encoder.attention import AttentionPlan

    x = torch.randn(1, 9, 16)
    lengths = torch.tensor([9])
    plan = AttentionPlan.make(lengths, 9, subnet.context, encoder.head_size, x.dtype)
    base = one_block.attention(x, 0, plan)
    seen = torch.zeros(9, 9, dtype=torch.bool)
    for column in range(9):
        changed = x.clone()
        changed[0, column] += 1.0
        seen[:, column] = (one_block.attention(changed, 0, plan) - base)[0].abs().amax(dim=-1) > 1e-6
    expected = [[0, 1, 2]] * 3 + [[1, 2, 3, 4, 5]] * 3 + [[4, 5, 6, 7, 8]] * 3
    assert [row.nonzero().flatten().tolist() for row in seen] == expected


@torch.inference_mode()
def test_convolution_stops_at_the_end_of_its_chunk(encoder):
    convolution = encoder.blocks[0].convolution  # 5 taps: two frames to each side
    x, valid = torch.randn(1, 6, 16), torch.ones(1, 6, dtype=torch.bool)
    base = convolution(x, 0, valid, 3)
    changed = x.clone()
    changed[0, 3] += 1.0
    touched = (convolution(changed, 0, valid, 3) - base)[0].abs().amax(dim=-1) > 1e-7
    assert touched.tolist() == [False, False, False, True, True, True]
    touched = (convolution(changed, 0, valid, None) - convolution(x, 0, valid, None))[0].abs().amax(dim=-1) > 1e-7
    assert touched.tolist() == [False, True, True, True, True, True]


def test_subsampling_sees_features_4t_to_4t_plus_6(encoder):
    features = torch.randn(1, 23, 80)
    base = encoder.subsampling(features)
    assert base.shape[1] == subsampled(23) == 5
    for feature in range(23):
        changed = features.clone()
        changed[0, feature] += 1.0
        touched = (encoder.subsampling(changed) - base)[0].abs().amax(dim=-1) > 0
        for frame in range(5):
            if touched[frame]:
                assert 4 * frame <= feature <= 4 * frame + 6


def test_an_utterance_shorter_than_a_frame_gives_no_frames(encoder):
    encoded, frames = encoder(torch.randn(2, 5, 80), torch.tensor([5, 0]), Subnet(0.7, Context(4, 4)))
    assert frames.tolist() == [0, 0]
    assert torch.isfinite(encoded).all()


@pytest.mark.parametrize("context", [Context(), Context(4, None)])
def test_streaming_without_a_bound_is_refused(encoder, context):
    with pytest.raises(UserError, match="needs a chunk and a limited left context"):
        encoder.init_state(1, context)


def test_an_unknown_sparsity_is_refused(encoder):
    with pytest.raises(UserError, match=r"no sub-network of sparsity 0.5; it has 0 \(dense\), 0.7"):
        encoder(torch.randn(1, 20, 80), torch.tensor([20]), Subnet(0.5))
