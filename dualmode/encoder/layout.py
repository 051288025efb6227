"""How one pass arranges its frames, and what lies before them.

A Conformer block mixes frames in two places only: attention, and the depthwise convolution.  Both ask the layout of the
pass for what they may see; everything else in a block treats frames one by one.  So the blocks' code is the same in all
passes, and that streaming computes what training computed is a property of this file:

    WholeUtterances   rows are utterances; everything is seen
    ParallelChunks    rows are the chunks of all utterances; what lies before a row is read from the rows before it
    StreamingChunk    rows are streams, a chunk of each; what lies before a row is read from the cache

With look-ahead, a row ends with copies of the first ``right`` frames of the next chunk.  Every block computes the
copies anew from what this chunk may see, so that the look-ahead does not grow with depth (as in Shi et al. 2021,
"Emformer").  Chunk 3, right 1::

    utterance  A B C D E F G
    rows       A B C d | D E F g | G        only A B C, D E F, G are put out and cached
"""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from dualmode.encoder.chunks import preceded
from dualmode.encoder.padding import pad_frames, valid_frames, windows
from dualmode.encoder.rotation import Rotation
from dualmode.supernet.subnet import Context


def scaled_attention(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor) -> Tensor:
    """Attend with tensors (rows, frames, heads, head size); ``allowed`` (rows, keys) says which keys are seen."""
    query, key, value = (x.transpose(1, 2) for x in (query, key, value))
    # On a CPU, the backward pass of bfloat16 attention takes three times as long as that of float32.
    lower = torch.is_autocast_enabled(query.device.type) and query.device.type != "cpu"
    with torch.autocast(query.device.type, enabled=lower):
        value = value.to(query.dtype)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed[:, None, None, :])
    return mixed.transpose(1, 2)


def never_empty(allowed: Tensor) -> Tensor:
    """Let rows that may see nothing (padding) see everything, which nobody reads, instead of giving NaN."""
    return allowed | ~allowed.any(dim=-1, keepdim=True)


def as_factor(valid: Tensor, dtype: torch.dtype) -> Tensor:
    """Return booleans (rows, frames) as factors 0 and 1, (rows, frames, 1); multiplying is faster than filling."""
    return valid.to(dtype).unsqueeze(-1)


class Layout(Protocol):
    """What a block asks of the pass that it runs in."""

    @property
    def valid(self) -> Tensor:
        """(rows, frames, 1), 1 where a frame is real, else 0."""

    def attend(self, query_key: Tensor, value: Tensor) -> Tensor:
        """Mix frames by attention.

        Args:
            query_key: (rows, frames, 2, heads, head size), not rotated.
            value: (rows, frames, heads, head size).

        Returns:
            (rows, frames, heads, head size)
        """

    def extended(self, x: Tensor, frames: int) -> Tensor:
        """Return x (rows, n, ...) with the ``frames`` frames before each row in front: (rows, frames + n, ...)."""


@dataclass(frozen=True)
class WholeUtterances:
    """Rows are utterances in the full context.

    Attributes:
        valid: (batch, frames, 1), 1 where a frame is real, else 0.
        allowed: (batch, frames), the same as booleans, see :func:`never_empty`.
        rotation: at each frame.
    """

    valid: Tensor
    allowed: Tensor
    rotation: Rotation

    @classmethod
    def make(cls, lengths: Tensor, frames: int, head_size: int, dtype: torch.dtype) -> "WholeUtterances":
        valid = valid_frames(lengths, frames)
        rotation = Rotation.at(torch.arange(frames, device=lengths.device), head_size, dtype)
        return cls(as_factor(valid, dtype), never_empty(valid), rotation)

    def arrange(self, x: Tensor) -> Tensor:
        return x

    def restore(self, x: Tensor) -> Tensor:
        return x

    def attend(self, query_key: Tensor, value: Tensor) -> Tensor:
        query, key = self.rotation(query_key).unbind(dim=2)
        return scaled_attention(query, key, value, self.allowed)

    def extended(self, x: Tensor, frames: int) -> Tensor:
        return F.pad(x, (0, 0, frames, 0))


@dataclass(frozen=True)
class ParallelChunks:
    """Rows are the chunks of a batch of utterances: cost and memory grow with the audio's length, not its square.

    Attributes:
        batch, frames: of the utterances.
        context: has a chunk.
        valid: (batch * chunks, chunk + right, 1), 1 where a frame of a row is real, else 0.
        allowed: (batch * chunks, left + chunk + right), which frames a row sees.
        rotation: at each frame of each row.
    """

    batch: int
    frames: int
    context: Context
    valid: Tensor
    allowed: Tensor
    rotation: Rotation

    @classmethod
    def make(
        cls, lengths: Tensor, frames: int, context: Context, head_size: int, dtype: torch.dtype
    ) -> "ParallelChunks":
        batch, device = len(lengths), lengths.device
        chunks, width = -(-frames // context.chunk), context.chunk + context.lookahead
        starts = torch.arange(chunks, device=device) * context.chunk
        offsets = torch.arange(-context.left, width, device=device)
        positions = starts[:, None] + offsets  # (chunks, left + width)
        exists = (positions >= 0) & (positions < lengths[:, None, None])  # (batch, chunks, left + width)
        allowed = exists.flatten(0, 1)
        rotation = Rotation.at(positions[:, context.left :].repeat(batch, 1), head_size, dtype)
        valid = as_factor(allowed[:, context.left :], dtype)
        return cls(batch, frames, context, valid, never_empty(allowed), rotation)

    def arrange(self, x: Tensor) -> Tensor:
        """Cut x (batch, frames, d) into rows (batch * chunks, chunk + right, d)."""
        chunk, right = self.context.chunk, self.context.lookahead
        x = pad_frames(x, chunk)
        if right:
            x = windows(F.pad(x, (0, 0, 0, right)), chunk + right, chunk)
        return x.reshape(-1, chunk + right, x.shape[-1])

    def restore(self, x: Tensor) -> Tensor:
        """Put rows back together, without their look-ahead: (batch, frames, d)."""
        return x[:, : self.context.chunk].reshape(self.batch, -1, x.shape[-1])[:, : self.frames]

    def attend(self, query_key: Tensor, value: Tensor) -> Tensor:
        query, key = self.rotation(query_key).unbind(dim=2)
        left = self.context.left
        return scaled_attention(query, self.extended(key, left), self.extended(value, left), self.allowed)

    def extended(self, x: Tensor, frames: int) -> Tensor:
        """Return the rows with the ``frames`` frames before each, from the chunks before; zero before the utterance."""
        rows = x.reshape(self.batch, -1, *x.shape[1:])
        return preceded(rows, self.context.chunk, frames).flatten(0, 1)


@dataclass(frozen=True)
class Cache:
    """What one block keeps of a batch of streams between two chunks, fixed in size.

    Attributes:
        keys, values: (batch, left, heads, head size), keys not rotated.
        convolution: (batch, kernel // 2, convolution channels), gated input of the depthwise convolution.
    """

    keys: Tensor
    values: Tensor
    convolution: Tensor


class StreamingChunk:
    """Rows are streams: one block's pass over the next chunk of each.

    Args:
        context: has a chunk.
        valid: (batch, frames, 1), 1 where a frame is real, else 0; up to chunk + right frames.
        allowed: (batch, left + frames), which cached frames exist and which new ones are real.
        rotation: at positions 0 to left + frames - 1.
        cache: of the block, from the chunk before.

    Attributes:
        cache: after the pass, that of this chunk.
    """

    def __init__(self, context: Context, valid: Tensor, allowed: Tensor, rotation: Rotation, cache: Cache):
        self.context, self.valid, self.allowed, self.rotation, self.cache = context, valid, allowed, rotation, cache

    def attend(self, query_key: Tensor, value: Tensor) -> Tensor:
        query, key = query_key.split(1, dim=2)
        keys, values = torch.cat([self.cache.keys, key[:, :, 0]], dim=1), torch.cat([self.cache.values, value], dim=1)
        last = self._last(value, self.context.left)
        self.cache = Cache(keys[:, last], values[:, last], self.cache.convolution)
        query, keys = self.rotation.last(query.shape[1])(query), self.rotation(keys.unsqueeze(2))
        return scaled_attention(query[:, :, 0], keys[:, :, 0], values, self.allowed)

    def extended(self, x: Tensor, frames: int) -> Tensor:
        rows = torch.cat([self.cache.convolution, x], dim=1)
        self.cache = Cache(self.cache.keys, self.cache.values, rows[:, self._last(x, frames)])
        return rows

    def _last(self, x: Tensor, frames: int) -> slice:
        """Return where the last ``frames`` frames are in the cache followed by x, without x's look-ahead."""
        end = min(x.shape[1], self.context.chunk)
        return slice(end, end + frames)
