"""Multi-head self-attention whose projections are prunable."""

import torch
from torch import Tensor, nn

from dualmode.encoder.layout import Layout
from dualmode.supernet.masked_linear import MaskedLinear
from dualmode.supernet.units import Units
from dualmode.supernet.view import View


class Attention(nn.Module):
    """Scaled dot-product attention with rotary positions; the layout of the pass says who sees whom.

    Args:
        size: width of the model, d.
        heads: number of heads.
        head_size: of each.
        levels: number of masks.
    """

    def __init__(self, size: int, heads: int, head_size: int, levels: int):
        super().__init__()
        self.heads = heads
        self.qkv = MaskedLinear(size, 3 * heads * head_size, levels)
        self.out = MaskedLinear(heads * head_size, size, levels)

    def forward(self, x: Tensor, view: View, layout: Layout) -> Tensor:
        """Map x (rows, frames, d) to the same shape, as ``layout`` arranges the rows."""
        qkv = self.qkv(x, view).unflatten(-1, (3, self.heads, -1))
        return self.out(layout.attend(qkv[:, :, :2], qkv[:, :, 2]).flatten(2), view)

    def units(self) -> Units:
        """Return the heads: their rows of queries, keys and values, and their columns of the output."""
        columns = torch.arange(self.out.in_features, device=self.out.weight.device).unflatten(0, (self.heads, -1))
        rows = torch.cat([columns + part * self.out.in_features for part in range(3)], dim=1)
        return Units("qkv", "out", rows, columns)
