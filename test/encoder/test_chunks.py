"""What precedes a chunk is what a slice of the utterance says, gradients included."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode.encoder.chunks import preceded
from dualmode.encoder.rotation import Rotation


@given(
    chunks=st.integers(1, 5),
    chunk=st.integers(1, 4),
    lookahead=st.integers(0, 2),
    frames=st.integers(0, 11),
    inner=st.sampled_from([(), (2,), (2, 3)]),
)
@settings(deadline=None, max_examples=60)
def test_rows_begin_with_the_utterance_before_them(chunks, chunk, lookahead, frames, inner):
    rows = torch.randn(2, chunks, chunk + lookahead, *inner, dtype=torch.float64, requires_grad=True)
    past = [rows.new_zeros(2, frames, *inner)] + [rows[:, i, :chunk] for i in range(chunks)]
    utterance = torch.cat(past, dim=1)
    expected = torch.stack(
        [torch.cat([utterance[:, i * chunk :][:, :frames], rows[:, i]], dim=1) for i in range(chunks)], dim=1
    )
    found = preceded(rows, chunk, frames)
    assert torch.equal(found, expected)
    direction = torch.randn_like(found)
    mine, theirs = (torch.autograd.grad(out, rows, direction)[0] for out in (found, expected))
    torch.testing.assert_close(mine, theirs)


def test_the_gradient_of_a_rotation_is_that_of_autograd():
    rotation = Rotation.at(torch.arange(5), 6, torch.float64)
    x = torch.randn(2, 5, 2, 3, 6, dtype=torch.float64, requires_grad=True)
    plain = x * rotation.cos + x.roll(3, dims=-1) * rotation.sin
    torch.testing.assert_close(rotation(x), plain)
    direction = torch.randn_like(x)
    mine, theirs = (torch.autograd.grad(out, x, direction)[0] for out in (rotation(x), plain))
    torch.testing.assert_close(mine, theirs)
