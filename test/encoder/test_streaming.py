"""The masked parallel pass and the chunk-by-chunk pass are the same function."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.errors import UserError
from dualmode.frames import EXTRA, FACTOR, subsampled
from dualmode.supernet.subnet import Context, Subnet
from dualmode.supernet.view import ALL

TOLERANCE = 1e-4


def stream(encoder, features, lengths, subnet):
    """Run a batch of streams chunk by chunk; return (batch, frames, d)."""
    context = subnet.context
    shift, window = FACTOR * context.chunk, FACTOR * (context.chunk + context.lookahead) + EXTRA
    state = encoder.init_state(len(features), context)
    outputs, start = [], 0
    while start + FACTOR + EXTRA <= features.shape[1]:
        chunk = features[:, start : start + window]
        here = (lengths - start).clamp(0, chunk.shape[1])
        output, _, state = encoder.forward_chunk(chunk, here, state, subnet)
        outputs.append(output)
        start += shift
    return torch.cat(outputs, dim=1)


@settings(deadline=None, max_examples=60)
@given(
    chunk=st.integers(1, 20),
    left=st.integers(0, 40),
    right=st.integers(0, 12),
    sparsity=st.sampled_from([0.0, 0.7]),
    lengths=st.lists(st.integers(7, 300), min_size=1, max_size=4),
    seed=st.integers(0, 2**16),
)
@torch.inference_mode()
def test_stream_equals_masked_pass(encoder, chunk, left, right, sparsity, lengths, seed):
    subnet = Subnet(sparsity, Context(chunk, left, right))
    features = torch.randn(len(lengths), max(lengths), 80, generator=torch.Generator().manual_seed(seed))
    lengths = torch.tensor(lengths)
    parallel, frames = encoder(features, lengths, subnet)
    streamed = stream(encoder, features, lengths, subnet)
    for row, count in enumerate(frames.tolist()):
        assert (parallel[row, :count] - streamed[row, :count]).abs().max() <= TOLERANCE


@settings(deadline=None, max_examples=30)
@given(
    context=st.sampled_from([Context(), Context(3, 5), Context(4, 0), Context(2, 5, 4)]),
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


def influence(encoder, context, module):
    """Return, for each of 9 frames, which frames change its output through ``module`` of the first block."""
    layout = encoder.layout(torch.tensor([9]), 9, context)

    def run(x):
        return layout.restore(module(layout.arrange(x), ALL, layout))[0]

    x = torch.randn(1, 9, 16)
    base, seen = run(x), torch.zeros(9, 9, dtype=torch.bool)
    for column in range(9):
        changed = x.clone()
        changed[0, column] += 1.0
        seen[:, column] = (run(changed) - base).abs().amax(dim=-1) > 1e-6
    return [row.nonzero().flatten().tolist() for row in seen]


@pytest.mark.parametrize(
    "context, expected",
    [
        (Context(), [list(range(9))] * 9),
        (Context(3, 2), [[0, 1, 2]] * 3 + [[1, 2, 3, 4, 5]] * 3 + [[4, 5, 6, 7, 8]] * 3),
        (Context(3, 2, 1), [[0, 1, 2, 3]] * 3 + [[1, 2, 3, 4, 5, 6]] * 3 + [[4, 5, 6, 7, 8]] * 3),
    ],
)
@torch.inference_mode()
def test_attention_sees_what_the_context_says(encoder, context, expected):
    """The drawing in ``Context``."""
    assert influence(encoder, context, encoder.blocks[0].attention) == expected


@pytest.mark.parametrize(
    "context, expected",
    [
        (Context(), [[0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4], [1, 2, 3, 4, 5]]),
        (Context(3, 2), [[0, 1, 2], [0, 1, 2], [0, 1, 2], [1, 2, 3, 4, 5]]),
        (Context(3, 2, 1), [[0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3], [1, 2, 3, 4, 5]]),
    ],
)
@torch.inference_mode()
def test_convolution_stops_where_the_chunk_ends(encoder, context, expected):
    """5 taps: two frames to each side; the first four frames are shown."""
    assert influence(encoder, context, encoder.blocks[0].convolution)[:4] == expected


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


def test_streaming_the_full_context_is_refused(encoder):
    with pytest.raises(UserError, match="streaming needs a chunk"):
        encoder.init_state(1, Context())


def test_an_unknown_sparsity_is_refused(encoder):
    with pytest.raises(UserError, match=r"no sub-network of sparsity 0.5; it has 0 \(dense\), 0.7"):
        encoder(torch.randn(1, 20, 80), torch.tensor([20]), Subnet(0.5))


@torch.inference_mode()
def test_look_ahead_does_not_grow_with_depth(encoder):
    """Two blocks deep, a frame depends on its chunk and the 2 frames after it, and on nothing later."""
    x, lengths = torch.randn(1, 18, 16), torch.tensor([18])
    subnet = Subnet(0.7, Context(4, 3, 2))
    base = encoder.encode(x, lengths, subnet)
    for column in range(18):
        changed = x.clone()
        changed[0, column] = torch.randn(16)
        touched = (encoder.encode(changed, lengths, subnet) - base)[0].abs().amax(dim=-1) > 1e-6
        first = touched.nonzero().min().item()
        # Frame 4 and 5 are seen from the first chunk, 6 and 7 only from their own; and so on.
        expected = max(column // 4 * 4 - (4 if column % 4 < 2 else 0), 0)
        assert first == expected


def trained_alike(conf):
    torch.manual_seed(0)
    encoder = DualModeEncoder(
        EncoderConfig(output_size=16, attention_heads=2, linear_units=32, num_blocks=3, subsampling_channels=4, **conf)
    )
    encoder.train()
    torch.manual_seed(1)
    output, _ = encoder(torch.randn(2, 90, 80), torch.tensor([90, 60]), Subnet(0.7, Context(4, 8)))
    output.square().mean().backward()
    return [parameter.grad for parameter in encoder.parameters()]


def test_gradient_checkpointing_changes_no_gradient():
    plain, checkpointed = trained_alike({}), trained_alike({"gradient_checkpointing": True})
    assert all(a is b or torch.allclose(a, b, atol=1e-6) for a, b in zip(plain, checkpointed, strict=True))


def test_layer_drop_skips_blocks_while_training_only():
    torch.manual_seed(0)
    encoder = DualModeEncoder(
        EncoderConfig(output_size=16, attention_heads=2, linear_units=32, num_blocks=4, layer_drop_rate=0.5)
    )
    calls = []
    for index, block in enumerate(encoder.blocks):
        block.register_forward_hook(lambda *_, index=index: calls.append(index))
    x, lengths = torch.randn(1, 40, 80), torch.tensor([40])
    for _ in range(50):
        encoder(x, lengths)
    assert 60 < len(calls) < 140  # of 200
    calls.clear()
    encoder.eval()(x, lengths)
    assert calls == [0, 1, 2, 3]


def test_common_norms_have_one_row(encoder):
    shared = DualModeEncoder(EncoderConfig(output_size=16, attention_heads=2, linear_units=32, separate_norms=False))
    assert all(norm.weight.shape == (1, 16) for block in shared.blocks for norm in block.norms)
    output, _ = shared.eval()(torch.randn(1, 40, 80), torch.tensor([40]), Subnet(0.7, Context(4, 8)))
    assert torch.isfinite(output).all()


def test_bfloat16_is_for_training_only():
    low, full = trained_alike({"training_precision": "bf16"}), trained_alike({})
    for a, b in zip(low, full, strict=True):
        if b is not None and b.abs().max() > 1e-3:
            assert a.dtype == torch.float32
            assert 0 < (a - b).abs().max() <= 0.1 * b.abs().max()
    torch.manual_seed(0)
    encoder = DualModeEncoder(
        EncoderConfig(output_size=16, attention_heads=2, linear_units=32, num_blocks=1, training_precision="bf16")
    ).eval()
    x, lengths = torch.randn(1, 60, 80), torch.tensor([60])
    with torch.inference_mode():
        output, _ = encoder(x, lengths)
        lower = encoder.train()(x, lengths)[0]
    assert output.dtype == lower.dtype == torch.float32
    assert 0 < (output - lower).abs().max()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_mixed_precision_around_the_encoder_is_its_own(encoder, dtype):
    """ESPnet's ``use_amp`` is float16 on GPUs, and gradients are scaled for it."""
    seen = []
    hooks = [
        layer.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
        for layer in (encoder.subsampling.project, encoder.blocks[0].ffn1.up)
    ]
    with torch.autocast("cpu", dtype), torch.inference_mode():
        encoder(torch.randn(1, 40, 80), torch.tensor([40]))
    for hook in hooks:
        hook.remove()
    assert seen == [dtype, dtype]
