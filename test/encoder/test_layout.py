"""The three layouts are what a block asks for (types are checked by mypy; this is what they do)."""

import pytest
import torch

from dualmode.encoder.layout import (
    Cache,
    Layout,
    ParallelChunks,
    StreamingChunk,
    WholeUtterances,
    as_factor,
    never_empty,
)
from dualmode.encoder.padding import valid_frames
from dualmode.encoder.rotation import Rotation
from dualmode.supernet.subnet import Context

CONTEXT = Context(chunk=2, left=3)


def whole() -> Layout:
    return WholeUtterances.make(torch.tensor([4]), 4, 6, torch.float32)


def parallel() -> Layout:
    return ParallelChunks.make(torch.tensor([4]), 4, CONTEXT, 6, torch.float32)


def streaming() -> Layout:
    valid = valid_frames(torch.tensor([2]), 2)
    allowed = never_empty(torch.cat([torch.zeros(1, 3, dtype=torch.bool), valid], dim=1))
    cache = Cache(torch.zeros(1, 3, 5, 6), torch.zeros(1, 3, 5, 6), torch.zeros(1, 1, 8))
    rotation = Rotation.at(torch.arange(5), 6, torch.float32)
    return StreamingChunk(CONTEXT, as_factor(valid, torch.float32), allowed, rotation, cache)


@pytest.mark.parametrize("make", [whole, parallel, streaming])
def test_a_layout_gives_the_shapes_that_a_block_works_with(make):
    layout = make()
    rows, frames, one = layout.valid.shape
    assert one == 1 and layout.valid.all()
    value = torch.randn(rows, frames, 5, 6)
    assert layout.attend(torch.randn(rows, frames, 2, 5, 6), value).shape == value.shape
    x = torch.randn(rows, frames, 8)
    extended = layout.extended(x, 1)
    assert extended.shape == (rows, 1 + frames, 8)
    assert torch.equal(extended[:, 1:], x) and not extended[0, 0].any()


def test_rows_of_parallel_chunks_begin_with_what_lies_before_them():
    x = torch.arange(8.0).reshape(2, 2, 2)
    assert torch.equal(parallel().extended(x, 1)[1], torch.tensor([[2.0, 3.0], [4.0, 5.0], [6.0, 7.0]]))
