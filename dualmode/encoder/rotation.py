"""Rotary positions: Su et al. (2021), "RoFormer".

The score of two frames depends on their distance only, so a stream may count positions from the start of its window
and never runs out of them.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


@dataclass(frozen=True)
class Rotation:
    """What rotates pairs (x[i], x[i + half]) by an angle a: (cos a, cos a) and (-sin a, sin a).

    Both are (..., frames, 1, 1, head size); ``half`` is half the head size.
    """

    cos: Tensor
    sin: Tensor

    @classmethod
    def at(cls, positions: Tensor, head_size: int, dtype: torch.dtype) -> "Rotation":
        """Return the rotation at ``positions`` (..., frames); angles in float64, since float32 drifts in long audio."""
        frequencies = 10000.0 ** (
            -torch.arange(0, head_size, 2, dtype=torch.float64, device=positions.device) / head_size
        )
        angles = positions.double()[..., None, None, None] * frequencies
        if torch.compiler.is_exporting():  # ONNX Runtime has no cosine of float64: whole turns go first, then digits
            angles = angles.remainder(2 * math.pi).float()
        cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
        return cls(torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1))

    def __call__(self, x: Tensor) -> Tensor:
        """Rotate x (..., frames, any, heads, head size)."""
        return _Rotate.apply(x, self.cos, self.sin) if x.requires_grad else _rotate(x, self.cos, self.sin)

    def last(self, frames: int) -> "Rotation":
        """Return the rotation of the last ``frames`` positions."""
        return Rotation(self.cos[..., -frames:, :, :, :], self.sin[..., -frames:, :, :, :])


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, dims=-1), sin)


class _Rotate(torch.autograd.Function):
    """The gradient of a rotation is the rotation back, at the same cost; autograd's takes twice as long."""

    @staticmethod
    def forward(ctx, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        ctx.dtype = x.dtype
        return _rotate(x, cos, sin)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _rotate(gradient, cos, -sin).to(ctx.dtype), None, None
