"""Other self-attentions for our encoder's blocks in :mod:`dualmode.bench.learner`: full context, all weights.

They show what a choice of the encoder is worth: rotary positions against relative ones with learned biases (Dai et al.
2019, "Transformer-XL", arXiv 1901.02860; ESPnet's), and no dropout of attention weights against ESPnet's.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from dualmode.encoder.attention import Attention
from dualmode.encoder.conformer import Block, DualModeEncoder
from dualmode.encoder.layout import WholeUtterances
from dualmode.supernet.units import Kept
from dualmode.supernet.view import View


class DroppingAttention(Attention):
    """Our attention, which drops attention weights in training at ``rate``."""

    def __init__(self, attention: Attention, rate: float):
        super().__init__(attention.qkv.in_features, attention.heads, attention.head_size, attention.qkv.masks.shape[0])
        self.qkv, self.out, self.rate = attention.qkv, attention.out, rate

    def forward(self, x: Tensor, view: View, layout: WholeUtterances, kept: Kept | None = None) -> Tensor:  # type: ignore[override]
        qkv = self.qkv.make(x, view, kept).unflatten(-1, (3, -1, self.head_size))
        query, key = layout.rotation(qkv[:, :, :2]).unbind(dim=2)
        query, key, value = (part.transpose(1, 2) for part in (query, key, qkv[:, :, 2]))
        rate = self.rate if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, layout.allowed[:, None, None], rate)
        return self.out.read(mixed.transpose(1, 2).flatten(2), view, kept)


class RelativeAttention(Attention):
    """ESPnet's attention with relative positions and learned biases, between our block and our output layer.

    Queries, keys and values are ESPnet's; our layer of them stays unused, since the block asks it for its masks.
    """

    def __init__(self, attention: Attention, rate: float):
        from espnet.nets.pytorch_backend.transformer.attention import RelPositionMultiHeadedAttention
        from espnet.nets.pytorch_backend.transformer.embedding import RelPositionalEncoding

        size, heads = attention.qkv.in_features, attention.heads
        super().__init__(size, heads, attention.head_size, attention.qkv.masks.shape[0])
        self.out = attention.out
        self.theirs = RelPositionMultiHeadedAttention(heads, size, rate)
        self.theirs.linear_out = nn.Identity()
        self.positions = RelPositionalEncoding(size, 0.0)

    def forward(self, x: Tensor, view: View, layout: WholeUtterances, kept: Kept | None = None) -> Tensor:  # type: ignore[override]
        mixed = self.theirs(x, x, x, self.positions(x)[1], layout.allowed[:, None])
        return self.out.read(mixed, view, kept)


def drop_attention(encoder: DualModeEncoder, rate: float = 0.1) -> None:
    """Let all blocks drop attention weights in training."""
    for block in encoder.blocks:
        assert isinstance(block, Block)
        block.attention = DroppingAttention(block.attention, rate)


def relative_positions(encoder: DualModeEncoder, rate: float = 0.0) -> None:
    """Give all blocks ESPnet's relative positions; ``rate`` of their attention weights is dropped in training."""
    for block in encoder.blocks:
        assert isinstance(block, Block)
        block.attention = RelativeAttention(block.attention, rate)
