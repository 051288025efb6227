"""Multi-head self-attention whose projections are prunable."""

import torch
from torch import Tensor

from dualmode.encoder.layout import Layout
from dualmode.supernet.masked_linear import MaskedLinear
from dualmode.supernet.units import Kept, UnitModule, Units
from dualmode.supernet.view import View


class Attention(UnitModule):
    """Scaled dot-product attention with rotary positions; the layout of the pass says who sees whom.

    Args:
        size: width of the model, d.
        heads: number of heads.
        head_size: of each.
        levels: number of masks.
    """

    made_by, read_by = "qkv", "out"

    def __init__(self, size: int, heads: int, head_size: int, levels: int):
        super().__init__()
        self.heads, self.head_size = heads, head_size
        self.qkv = MaskedLinear(size, 3 * heads * head_size, levels)
        self.out = MaskedLinear(heads * head_size, size, levels)

    def forward(self, x: Tensor, view: View, layout: Layout, kept: Kept | None = None) -> Tensor:
        """Map x (rows, frames, d) to the same shape, as ``layout`` arranges the rows."""
        qkv = self.qkv.make(x, view, kept).unflatten(-1, (3, -1, self.head_size))
        query_key, value = qkv.split([2, 1], dim=2)  # slices would give a gradient of the whole each
        return self.out.read(layout.attend(query_key, value.squeeze(2)).flatten(2), view, kept)

    def units(self) -> Units:
        """Return the heads: their rows of queries, keys and values, and their columns of the output."""
        columns = torch.arange(self.out.in_features, device=self.out.weight.device).unflatten(0, (self.heads, -1))
        rows = torch.cat([columns + part * self.out.in_features for part in range(3)], dim=1)
        return Units(self.made_by, self.read_by, rows, columns)
