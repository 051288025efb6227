"""What a stream remembers between two chunks: fixed in size, however long the stream."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class StreamState:
    """Caches of a batch of streams, which may differ in age.

    Attributes:
        keys, values: (blocks, batch, heads, left, head size), the last ``left`` frames, keys not rotated.
        convolution: (blocks, batch, kernel // 2, d), gated input of the depthwise convolutions.
        seen: (batch,), encoder frames so far; tells which cached frames exist.
    """

    keys: Tensor
    values: Tensor
    convolution: Tensor
    seen: Tensor
