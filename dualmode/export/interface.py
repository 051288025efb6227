"""What sherpa-onnx keeps between two chunks, and how a :class:`StreamState` is laid out in it.

sherpa-onnx allocates the caches of the encoders that it knows, from sizes in the file's metadata, and hands them back
by position without looking into them.  Our Conformer goes under two of those names, whose caches have room for ours:

    zipformer2_ctc   CTC     per block: key, nonlin, val1, val2, conv1, conv2; then embed_states, processed_lens
    ebranchformer    RNN-T   per block: key, value, conv, conv_fusion; then processed_lens

What an interface has beyond our caches (nonlin, conv2, embed_states, conv_fusion) comes out as it went in.
``processed_lens`` is our count of encoder frames of 40 ms, which tells which cached frames exist.
Source: online-zipformer2-ctc-model.cc and online-ebranchformer-transducer-model.cc of sherpa-onnx 2.0.1.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.state import StreamState
from dualmode.frames import EXTRA, FACTOR
from dualmode.supernet.subnet import Context


@dataclass(frozen=True)
class Interface(ABC):
    """What both interfaces share.

    Attributes:
        config: of the encoder that runs, sliced if it was pruned in whole units.
        context: has a chunk, and a left context.
    """

    PER_BLOCK: ClassVar[tuple[str, ...]]  # names of the states of each block
    AFTER: ClassVar[tuple[str, ...]]  # and of those that follow all blocks

    config: EncoderConfig
    context: Context

    @abstractmethod
    def _sizes(self) -> Mapping[str, int | str]:
        """Return the sizes that the runtime reads."""

    @abstractmethod
    def batch_axes(self) -> list[int]:
        """Return which axis of each state is the batch."""

    @abstractmethod
    def zeros(self, batch: int) -> list[Tensor]:
        """Return the states of ``batch`` streams that have heard nothing, as sherpa-onnx makes them."""

    @abstractmethod
    def unpack(self, states: Sequence[Tensor]) -> StreamState:
        """Return our state, which ``states`` hold."""

    @abstractmethod
    def pack(self, state: StreamState, before: Sequence[Tensor]) -> list[Tensor]:
        """Return ``state`` laid out as ``before`` was; what we do not use is taken from there."""

    @property
    def window(self) -> int:
        """Feature frames of 10 ms that one call takes."""
        return FACTOR * (self.context.chunk + self.context.lookahead) + EXTRA

    @property
    def shift(self) -> int:
        """Feature frames of 10 ms from one call to the next."""
        return FACTOR * self.context.chunk

    @property
    def reach(self) -> int:
        """Frames of 40 ms that the convolution's cache holds."""
        return self.config.kernel_size // 2

    def metadata(self) -> dict[str, str]:
        """Return what sherpa-onnx reads from the file to allocate the caches and to cut the features."""
        return {"T": str(self.window), "decode_chunk_len": str(self.shift)} | {
            name: str(value) for name, value in self._sizes().items()
        }

    def names(self) -> list[str]:
        """Return the names of the states in their order."""
        blocks = range(self.config.num_blocks)
        return [f"{name}_{block}" for block in blocks for name in self.PER_BLOCK] + list(self.AFTER)


@dataclass(frozen=True)
class ZipformerCtc(Interface):
    """The states of zipformer2_ctc: a Zipformer of one stack."""

    PER_BLOCK = ("key", "nonlin", "val1", "val2", "conv1", "conv2")
    AFTER = ("embed_states", "processed_lens")

    def _sizes(self) -> dict[str, int]:
        return {
            "encoder_dims": self.config.convolution_channels,
            "query_head_dims": self.config.head_size,
            "value_head_dims": self.config.head_size // 2,
            "num_heads": self.config.attention_heads,
            "num_encoder_layers": self.config.num_blocks,
            "cnn_module_kernels": 2 * self.reach + 1,
            "left_context_len": self.context.left,
        }

    def batch_axes(self) -> list[int]:
        return [1, 1, 1, 1, 0, 0] * self.config.num_blocks + [0, 0]

    def zeros(self, batch: int) -> list[Tensor]:
        config, left = self.config, self.context.left
        keys, channels = config.attention_heads * config.head_size, config.convolution_channels
        value = torch.zeros(left, batch, keys // 2)
        convolution = torch.zeros(batch, channels, self.reach)
        nonlin = torch.zeros(1, batch, left, 3 * channels // 4)
        block = [torch.zeros(left, batch, keys), nonlin, value, value, convolution, convolution]
        return block * config.num_blocks + [torch.zeros(batch, 128, 3, 19), torch.zeros(batch, dtype=torch.long)]

    def unpack(self, states: Sequence[Tensor]) -> StreamState:
        heads = (self.config.attention_heads, self.config.head_size)
        blocks = range(0, len(states) - 2, 6)
        keys = [states[i].transpose(0, 1).unflatten(-1, heads) for i in blocks]
        values = [torch.cat(list(states[i + 2 : i + 4]), dim=-1).transpose(0, 1).unflatten(-1, heads) for i in blocks]
        convolution = [states[i + 4].transpose(1, 2) for i in blocks]
        stacked = [torch.stack(parts, dim=1) for parts in (keys, values, convolution)]
        return StreamState(stacked[0], stacked[1], stacked[2], states[-1])

    def pack(self, state: StreamState, before: Sequence[Tensor]) -> list[Tensor]:
        after = []
        for block in range(self.config.num_blocks):
            cache, old = state.cache(block), before[6 * block : 6 * block + 6]
            key, value = (x.flatten(2).transpose(0, 1) for x in (cache.keys, cache.values))
            after += [key, old[1].clone(), *value.chunk(2, dim=-1), cache.convolution.transpose(1, 2), old[5].clone()]
        return [*after, before[-2].clone(), state.seen]


@dataclass(frozen=True)
class EBranchformer(Interface):
    """The states of ebranchformer."""

    PER_BLOCK = ("key", "value", "conv", "conv_fusion")
    AFTER = ("processed_lens",)

    def _sizes(self) -> dict[str, int | str]:
        return {
            "model_type": "ebranchformer",
            "num_hidden_layers": self.config.num_blocks,
            "hidden_size": 1,
            "intermediate_size": 2 * self.config.convolution_channels,
            "csgu_kernel_size": self.reach + 1,
            "merge_conv_kernel": 2,
            "left_context_len": self.context.left,
            "num_heads": self.config.attention_heads,
            "head_dim": self.config.head_size,
        }

    def batch_axes(self) -> list[int]:
        return [0] * (4 * self.config.num_blocks + 1)

    def zeros(self, batch: int) -> list[Tensor]:
        config = self.config
        keys = torch.zeros(batch, config.attention_heads, self.context.left, config.head_size)
        convolution = torch.zeros(batch, config.convolution_channels, self.reach)
        block = [keys, keys, convolution, torch.zeros(batch, 2, 1)]
        return block * config.num_blocks + [torch.zeros(batch, dtype=torch.long)]

    def unpack(self, states: Sequence[Tensor]) -> StreamState:
        parts = [torch.stack([x.transpose(1, 2) for x in states[first:-1:4]], dim=1) for first in range(3)]
        return StreamState(parts[0], parts[1], parts[2], states[-1])

    def pack(self, state: StreamState, before: Sequence[Tensor]) -> list[Tensor]:
        after = []
        for block in range(self.config.num_blocks):
            cache = state.cache(block)
            after += [x.transpose(1, 2) for x in (cache.keys, cache.values, cache.convolution)]
            after.append(before[4 * block + 3].clone())
        return [*after, state.seen]
