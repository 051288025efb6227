"""Rotary positions: Su et al. (2021), "RoFormer".

The score of two frames depends on their distance only, so a stream may count positions from the start of its window
and never runs out of them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rotation:
    """Cosines and sines of the rotary angles, each (..., frames, 1, head size / 2)."""

    cos: Tensor
    sin: Tensor

    @classmethod
    def at(cls, positions: Tensor, head_size: int, dtype: torch.dtype) -> "Rotation":
        """Return the rotation at ``positions`` (..., frames); angles in float64, since float32 drifts in long audio."""
        frequencies = 10000.0 ** (
            -torch.arange(0, head_size, 2, dtype=torch.float64, device=positions.device) / head_size
        )
        angles = positions.double()[..., None, None] * frequencies
        return cls(angles.cos().to(dtype), angles.sin().to(dtype))

    def __call__(self, x: Tensor) -> Tensor:
        """Rotate x (..., frames, heads, head size)."""
        left, right = x.chunk(2, dim=-1)
        return torch.cat([left * self.cos - right * self.sin, left * self.sin + right * self.cos], dim=-1)

    def last(self, frames: int) -> "Rotation":
        """Return the rotation of the last ``frames`` positions."""
        return Rotation(self.cos[..., -frames:, :, :], self.sin[..., -frames:, :, :])
