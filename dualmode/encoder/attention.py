"""Self-attention with rotary positions, in the full context, in chunks, and in a stream.

Rotary positions: Su et al. (2021), "RoFormer".  The score of two frames depends on their distance only, so a stream
may count positions from the start of its window and never runs out of them.  Keys are cached before the rotation.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualmode.encoder.padding import pad_frames, valid_frames, windows
from dualmode.supernet.masked_linear import MaskedLinear
from dualmode.supernet.subnet import Context


@dataclass(frozen=True)
class Rotation:
    """Cosines and sines of the rotary angles, each (frames, head size / 2)."""

    cos: Tensor
    sin: Tensor

    @classmethod
    def at(cls, positions: Tensor, head_size: int, dtype: torch.dtype) -> "Rotation":
        """Compute the rotation at ``positions`` (frames,); angles in float64, since float32 drifts in long audio."""
        frequencies = 10000.0 ** (
            -torch.arange(0, head_size, 2, dtype=torch.float64, device=positions.device) / head_size
        )
        angles = positions.double()[:, None] * frequencies
        return cls(angles.cos().to(dtype), angles.sin().to(dtype))

    def __call__(self, x: Tensor) -> Tensor:
        """Rotate x (batch, heads, frames, head size)."""
        left, right = x.chunk(2, dim=-1)
        return torch.cat([left * self.cos - right * self.sin, left * self.sin + right * self.cos], dim=-1)


@dataclass(frozen=True)
class AttentionPlan:
    """What all blocks share in one parallel pass: the rotation and who sees whom.

    ``allowed`` is (batch, 1, 1, frames) in the full context and (batch * chunks, 1, 1, left + chunk) in chunks with a
    limited left context; (batch, 1, frames, frames) in chunks that see everything before them.
    """

    context: Context
    rotation: Rotation
    allowed: Tensor

    @classmethod
    def make(cls, lengths: Tensor, frames: int, context: Context, head_size: int, dtype: torch.dtype):
        """Plan a pass over a batch (batch, frames, d) with ``lengths`` (batch,) real frames each."""
        valid = valid_frames(lengths, frames)
        rotation = Rotation.at(torch.arange(frames, device=lengths.device), head_size, dtype)
        if context.chunk is None:
            allowed = valid[:, None, None, :]
        elif context.left is None:
            chunk_of = torch.arange(frames, device=lengths.device) // context.chunk
            allowed = valid[:, None, None, :] & (chunk_of[:, None] >= chunk_of)
        else:
            allowed = windows(pad_frames(valid, context.chunk), context.chunk, context.left).flatten(0, 1)
            allowed = allowed[:, None, None, :]
        # A row that may see nothing (padding) would be NaN; it sees everything instead, and nobody sees it.
        return cls(context, rotation, allowed | ~allowed.any(dim=-1, keepdim=True))


class Attention(nn.Module):
    """Multi-head self-attention whose projections are prunable.

    Args:
        size: width of the model, d.
        heads: number of heads.
        levels: number of masks.
    """

    def __init__(self, size: int, heads: int, levels: int):
        super().__init__()
        self.heads = heads
        self.qkv = MaskedLinear(size, 3 * size, levels)
        self.out = MaskedLinear(size, size, levels)

    def _project(self, x: Tensor, level: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values (batch, heads, frames, head size), not rotated."""
        batch, frames, size = x.shape
        return self.qkv(x, level).view(batch, frames, 3, self.heads, size // self.heads).permute(2, 0, 3, 1, 4)

    def forward(self, x: Tensor, level: int, plan: AttentionPlan) -> Tensor:
        """Map x (batch, frames, d) to the same shape."""
        query, key, value = self._project(x, level)
        query, key = plan.rotation(query), plan.rotation(key)
        if plan.context.chunk is not None and plan.context.left is not None:
            mixed = self._attend_in_windows(query, key, value, plan)
        else:
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=plan.allowed)
        return self.out(mixed.transpose(1, 2).flatten(2), level)

    def _attend_in_windows(self, query: Tensor, key: Tensor, value: Tensor, plan: AttentionPlan) -> Tensor:
        """Attend chunk by chunk at once: cost grows with frames * (left + chunk), not with frames squared."""
        batch, _, frames, _ = query.shape
        chunk, left = plan.context.chunk, plan.context.left
        by_frame = (pad_frames(x.transpose(1, 2), chunk) for x in (query, key, value))
        query, key, value = (
            windows(x, chunk, before).flatten(0, 1).transpose(1, 2)
            for x, before in zip(by_frame, (0, left, left), strict=True)
        )
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=plan.allowed)
        return mixed.transpose(1, 2).reshape(batch, -1, *mixed.shape[1::2]).transpose(1, 2)[:, :, :frames]

    def forward_chunk(
        self, x: Tensor, level: int, keys: Tensor, values: Tensor, allowed: Tensor, rotation: Rotation
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Attend from one chunk of a stream to itself and to the cache.

        Args:
            x: (batch, frames, d), the chunk.
            level: which weights.
            keys, values: (batch, heads, left, head size), un-rotated, of the ``left`` frames before the chunk.
            allowed: (batch, 1, 1, left + frames), which of those exist.
            rotation: at positions 0 to left + frames - 1.

        Returns:
            the output (batch, frames, d) and the new keys and values.
        """
        left = keys.shape[2]
        query, key, value = self._project(x, level)
        key, value = torch.cat([keys, key], dim=2), torch.cat([values, value], dim=2)
        tail = Rotation(rotation.cos[left:], rotation.sin[left:])
        mixed = F.scaled_dot_product_attention(tail(query), rotation(key), value, attn_mask=allowed)
        start = key.shape[2] - left
        return self.out(mixed.transpose(1, 2).flatten(2), level), key[:, :, start:], value[:, :, start:]
