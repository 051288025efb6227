"""Lengths and masks of padded batches."""

import torch
from torch import Tensor


def valid_frames(lengths: Tensor, size: int) -> Tensor:
    """Return which frames of a padded batch are real, as booleans (batch, size).

    >>> valid_frames(torch.tensor([1, 3]), 3).int()
    tensor([[1, 0, 0],
            [1, 1, 1]], dtype=torch.int32)
    """
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def windows(x: Tensor, size: int, step: int) -> Tensor:
    """Cut x (batch, frames, ...) into windows of ``size`` frames, one every ``step`` frames.

    With ``size=3, step=2``::

        a b c d e   ->   abc  cde

    Returns:
        (batch, (frames - size) // step + 1, size, ...)
    """
    return x.unfold(1, size, step).movedim(-1, 2)


def pad_frames(x: Tensor, multiple: int) -> Tensor:
    """Append zero frames to x (batch, frames, ...) until ``frames`` is a multiple of ``multiple``."""
    missing = -x.shape[1] % multiple
    return x if missing == 0 else torch.cat([x, x.new_zeros(x.shape[0], missing, *x.shape[2:])], dim=1)
