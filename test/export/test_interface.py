"""The layouts of sherpa-onnx's caches hold our state, and nothing of it is lost."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.state import FIELDS, StreamState
from dualmode.export.interface import EBranchformer, ZipformerCtc
from dualmode.supernet.subnet import Context


@pytest.mark.parametrize("kind", [ZipformerCtc, EBranchformer])
@given(
    batch=st.integers(1, 3),
    blocks=st.integers(1, 3),
    heads=st.integers(1, 3),
    half=st.integers(1, 3),
    left=st.integers(1, 5),
    reach=st.integers(1, 4),
    channels=st.integers(1, 9),
)
def test_unpacking_undoes_packing(kind, batch, blocks, heads, half, left, reach, channels):
    config = EncoderConfig(
        num_blocks=blocks,
        attention_heads=heads,
        head_size=2 * half,
        kernel_size=2 * reach + 1,
        convolution_channels=channels,
    )
    interface = kind(config, Context(4, left))
    before = [x + 1 for x in interface.zeros(batch)]
    keys, values = torch.randn(2, batch, blocks, left, heads, 2 * half)
    state = StreamState(keys, values, torch.randn(batch, blocks, reach, channels), torch.arange(batch))
    packed = interface.pack(state, before)
    assert [x.shape for x in packed] == [x.shape for x in before] and len(packed) == len(interface.names())
    assert all(x.shape[axis] == batch for x, axis in zip(packed, interface.batch_axes(), strict=True))
    for name in FIELDS:
        assert torch.equal(getattr(interface.unpack(packed), name), getattr(state, name))


def test_sizes_are_those_that_sherpa_onnx_computes_from_the_metadata():
    """As online-zipformer2-ctc-model.cc and online-ebranchformer-transducer-model.cc compute them, by hand."""
    config = EncoderConfig(num_blocks=2, attention_heads=3, head_size=4, kernel_size=7, convolution_channels=10)
    zipformer = ZipformerCtc(config, Context(16, 5))
    meta = {name: int(value) for name, value in zipformer.metadata().items()}
    assert (meta["T"], meta["decode_chunk_len"]) == (67, 64)
    keys, values = (meta[f"{what}_head_dims"] * meta["num_heads"] for what in ("query", "value"))
    left, dim, kernel = meta["left_context_len"], meta["encoder_dims"], meta["cnn_module_kernels"]
    block = [(left, 1, keys), (1, 1, left, 3 * dim // 4), *[(left, 1, values)] * 2, *[(1, dim, kernel // 2)] * 2]
    assert [tuple(x.shape) for x in zipformer.zeros(1)] == [*block, *block, (1, 128, 3, 19), (1,)]

    branchformer = EBranchformer(config, Context(16, 5, lookahead=2))
    meta = {name: value for name, value in branchformer.metadata().items()}
    assert (meta["T"], meta["decode_chunk_len"], meta["model_type"]) == ("75", "64", "ebranchformer")
    heads, size = int(meta["num_heads"]), int(meta["head_dim"])
    conv = (1, int(meta["intermediate_size"]) // 2, int(meta["csgu_kernel_size"]) - 1)
    fusion = (1, 2 * int(meta["hidden_size"]), int(meta["merge_conv_kernel"]) - 1)
    block = [*[(1, heads, int(meta["left_context_len"]), size)] * 2, conv, fusion]
    assert [tuple(x.shape) for x in branchformer.zeros(1)] == [*block, *block, (1,)]
