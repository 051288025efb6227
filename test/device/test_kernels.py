"""Products of block-sparse matrices against float64, on every instruction set that this machine has."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode.device.container import from_blocks, quantise, scale_of
from dualmode.errors import UserError
from dualmode_runtime.engine import BlockMatrix

KERNELS = ("avx512vnni", "avx2", "dotprod", "portable")


def available(library, kernels):
    one = np.ones((1, 1), bool), np.ones((1, 4, 4), np.float32), None, np.zeros(4, np.float32), 4
    try:
        BlockMatrix(*one, kernels=kernels, library=library)
    except UserError:
        pytest.skip(f"this machine has no {kernels}")


def draw_blocks(seed, rows, outputs, inputs, share):
    """Return kept blocks and values (kept, rows, 4), zero outside of the matrix, and the dense matrix."""
    rng = np.random.default_rng(seed)
    keep = rng.random((-(-outputs // rows), -(-inputs // 4))) < share
    whole = np.where(keep.reshape(-1, 1, 1), rng.standard_normal((keep.size, rows, 4)), 0.0)
    dense = from_blocks(whole, outputs, inputs).astype(np.float32)
    dense[rng.random(outputs) < 0.1] = 0.0  # rows of zeros
    return keep, dense


def cut(values, keep, rows):
    out, inner = values.shape
    padded = np.pad(values, ((0, -out % rows), (0, -inner % 4)))
    grid = padded.reshape(keep.shape[0], rows, keep.shape[1], 4).transpose(0, 2, 1, 3)
    return grid[keep]


SHAPES = dict(
    rows=st.sampled_from([4, 8, 16]),
    outputs=st.integers(0, 70),
    inputs=st.integers(0, 90),
    frames=st.integers(1, 64),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    seed=st.integers(0, 2**16),
)


@pytest.mark.parametrize("kernels", KERNELS)
@settings(deadline=None, max_examples=100)
@given(**SHAPES)
def test_float_products(library, kernels, rows, outputs, inputs, frames, share, seed):
    available(library, kernels)
    keep, dense = draw_blocks(seed, rows, outputs, inputs, share)
    rng = np.random.default_rng(seed + 1)
    bias, x = rng.standard_normal(outputs), rng.standard_normal((frames, inputs)).astype(np.float32)
    engine = BlockMatrix(keep, cut(dense, keep, rows), None, bias, inputs, kernels, library)
    expected = x.astype(np.float64) @ dense.astype(np.float64).T + bias
    np.testing.assert_allclose(engine.multiply(x), expected, atol=1e-4)


@pytest.mark.parametrize("kernels", KERNELS)
@settings(deadline=None, max_examples=100)
@given(**SHAPES, scale=st.sampled_from([0.0, 1e-20, 1e-3, 1.0, 1e4]))
def test_int8_products_are_those_of_rounded_numbers(
    library, kernels, rows, outputs, inputs, frames, share, seed, scale
):
    available(library, kernels)
    keep, dense = draw_blocks(seed, rows, outputs, inputs, share)
    values, codes = quantise(dense)
    scales = scale_of(codes)
    rng = np.random.default_rng(seed + 1)
    bias = rng.standard_normal(outputs)
    # Frames of very different loudness: each has a scale of its own.
    x = (rng.standard_normal((frames, inputs)) * scale * 10 ** rng.uniform(-2, 2, (frames, 1))).astype(np.float32)
    engine = BlockMatrix(keep, cut(values, keep, rows), scales, bias, inputs, kernels, library)
    peaks = np.abs(x).max(axis=1, initial=0.0, keepdims=True)
    factors = np.divide(np.float32(127), peaks, where=peaks > 1e-30, out=np.zeros_like(peaks))
    rounded = np.rint(x * factors).astype(np.float64) * (peaks.astype(np.float64) / 127)
    expected = rounded @ (values.astype(np.float64) * scales[:, None]).T + bias
    weights = np.abs(values * scales[:, None]).T
    reach = np.abs(rounded) @ weights + np.abs(bias) + 1e-30
    # Halfway between two whole numbers, fused arithmetic may round to the other one: a step of peak / 127.
    halfway = np.abs(np.abs(x * factors % 1) - 0.5) < 1e-4
    step = (halfway * (peaks / 127)) @ weights
    assert (np.abs(engine.multiply(x) - expected) <= 1e-5 * reach + 1.001 * step + 1e-6).all()


@pytest.mark.parametrize("kernels", KERNELS)
def test_extreme_int8_values_do_not_overflow(library, kernels):
    available(library, kernels)
    for sign in (-1, 1):
        keep, values = np.ones((1, 1024), bool), np.full((1024, 16, 4), 127 * sign, np.int8)
        engine = BlockMatrix(keep, values, np.ones(16, np.float32), np.zeros(16), 4096, kernels, library)
        for x in (np.ones((5, 4096)), -np.ones((5, 4096))):
            np.testing.assert_allclose(engine.multiply(x), 4096 * 127 * sign * x[:, :16], rtol=1e-6)


def test_a_value_outside_of_the_matrix_is_refused(library):
    with pytest.raises(UserError, match="a value lies outside of the matrix"):
        BlockMatrix(np.ones((1, 1), bool), np.ones((1, 4, 4), np.int8), np.ones(3), np.zeros(3), 4, library=library)


def test_a_product_without_memory_for_it_is_no_end_of_the_process(library):
    one = BlockMatrix(np.ones((1, 1), bool), np.ones((1, 4, 4), np.float32), None, np.zeros(4), 4, library=library)
    assert library.dualmode_matrix_multiply(one._handle, None, 2**50, None) == -1


def test_an_unknown_instruction_set_is_refused(library):
    with pytest.raises(UserError, match="this machine has no kernels called mmx"):
        BlockMatrix(np.ones((1, 1), bool), np.ones((1, 4, 4), np.float32), None, np.zeros(4), 4, "mmx", library=library)
