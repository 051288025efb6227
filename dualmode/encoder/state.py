"""What streams remember between two chunks: fixed in size, however long the stream."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dualmode.encoder.layout import Cache

FIELDS = ("keys", "values", "convolution", "seen")


@dataclass(frozen=True)
class StreamState:
    """Caches of a batch of streams, which may differ in age.

    Attributes:
        keys, values: (batch, blocks, left, heads, head size), the last ``left`` frames, keys not rotated.
        convolution: (batch, blocks, kernel // 2, convolution channels), gated input of the depthwise convolutions.
        seen: (batch,), encoder frames so far; tells which cached frames exist.
    """

    keys: Tensor
    values: Tensor
    convolution: Tensor
    seen: Tensor

    def __len__(self) -> int:
        """Return the number of streams."""
        return len(self.seen)

    def cache(self, block: int) -> Cache:
        """Return what the block of this index keeps."""
        return Cache(self.keys[:, block], self.values[:, block], self.convolution[:, block])

    @classmethod
    def join(cls, caches: list[Cache], seen: Tensor) -> "StreamState":
        """Build the state from the caches of all blocks."""
        keys, values, convolution = (
            torch.stack([getattr(cache, name) for cache in caches], dim=1) for name in FIELDS[:3]
        )
        return cls(keys, values, convolution, seen)

    def select(self, streams: Tensor) -> "StreamState":
        """Return the state of some streams, (n,) indices, in that order."""
        return StreamState(*(getattr(self, name)[streams] for name in FIELDS))

    def put(self, streams: Tensor, state: "StreamState") -> "StreamState":
        """Return this state with ``state`` in the places of ``streams``, (n,) indices."""
        return StreamState(
            *(getattr(self, name).index_copy(0, streams, getattr(state, name)) for name in FIELDS),
        )

    def reset(self, stream: int) -> "StreamState":
        """Return this state with one stream as if it had heard nothing; the others go on."""
        fresh = StreamState(*(torch.zeros_like(getattr(self, name)[:1]) for name in FIELDS))
        return self.put(torch.tensor([stream], device=self.seen.device), fresh)
