"""The Conformer's feed-forward module, whose hidden units are prunable."""

import torch
import torch.nn.functional as F
from torch import Tensor

from dualmode.encoder.dropout import Dropout
from dualmode.supernet.masked_linear import MaskedLinear
from dualmode.supernet.units import Kept, UnitModule, Units
from dualmode.supernet.view import View


class FeedForward(UnitModule):
    """Linear, SiLU, dropout, Linear.

    Args:
        size: width of the model, d.
        units: hidden units.
        dropout: its rate.
        levels: number of masks of the two Linear layers.
    """

    made_by, read_by = "up", "down"

    def __init__(self, size: int, units: int, dropout: float, levels: int):
        super().__init__()
        self.up = MaskedLinear(size, units, levels)
        self.down = MaskedLinear(units, size, levels)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, view: View, kept: Kept | None = None) -> Tensor:
        """Map x (rows, frames, d) to the same shape."""
        return self.down.read(self.dropout(F.silu(self.up.make(x, view, kept))), view, kept)

    def units(self) -> Units:
        """Return the hidden units."""
        each = torch.arange(self.up.out_features, device=self.up.weight.device).unsqueeze(1)
        return Units(self.made_by, self.read_by, rows=each, columns=each)
