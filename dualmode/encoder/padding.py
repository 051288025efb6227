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


def windows(x: Tensor, chunk: int, before: int) -> Tensor:
    """Cut x (batch, frames, ...) into overlapping windows, one a chunk, each with the frames before its chunk.

    ``frames`` must be a multiple of ``chunk``; what lies before the first frame is zero.  With ``chunk=2, before=1``::

        a b c d   ->   0ab  bcd

    Returns:
        (batch, frames / chunk, before + chunk, ...)
    """
    batch, frames, *rest = x.shape
    padded = torch.cat([x.new_zeros(batch, before, *rest), x], dim=1)
    return padded.unfold(1, before + chunk, chunk).movedim(-1, 2)


def pad_frames(x: Tensor, multiple: int) -> Tensor:
    """Append zero frames to x (batch, frames, ...) until ``frames`` is a multiple of ``multiple``."""
    missing = -x.shape[1] % multiple
    return x if missing == 0 else torch.cat([x, x.new_zeros(x.shape[0], missing, *x.shape[2:])], dim=1)
