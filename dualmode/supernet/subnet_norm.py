"""LayerNorm with a scale and a shift for each mask."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualmode.supernet.precision import at_least_float32
from dualmode.supernet.view import View

EPSILON = 1e-5  # as in torch's layer_norm


class SubnetNorm(nn.Module):
    """LayerNorm whose few parameters are not shared between the sub-networks.

    A layer that lost most of its inputs gives smaller sums; with a scale of its own, a sparse sub-network need not
    agree with the dense one on what is usual.  Costs ``2 * size`` parameters a mask.

    Args:
        size: of the vectors.
        levels: number of masks; level 0, the dense sub-network, has its row as well.
        separate: False makes it a common LayerNorm, with one row for all sub-networks.
    """

    def __init__(self, size: int, levels: int, separate: bool = True):
        super().__init__()
        rows = levels + 1 if separate else 1
        self.weight = nn.Parameter(torch.ones(rows, size))
        self.bias = nn.Parameter(torch.zeros(rows, size))
        self.weight._no_weight_decay = True  # type: ignore[attr-defined]  # ESPnet's exclude_weight_decay asks for it

    def row(self, view: View) -> int:
        """Return which row ``view`` uses."""
        return view.row(len(self.weight))

    def of_units(self, x: Tensor, view: View, units: Tensor) -> Tensor:
        """Normalise x (..., units), which holds the entries ``units`` (units,) alone, as forward does these."""
        row = self.row(view)
        weight, bias = self.weight[row].index_select(0, units), self.bias[row].index_select(0, units)
        return F.layer_norm(x, x.shape[-1:], weight, bias)

    def forward(self, x: Tensor, view: View, kept: Tensor | None = None) -> Tensor:
        """Normalise x (..., size) as ``view`` does; with ``kept`` (size,) booleans, by the kept entries' statistics.

        Entries that are not kept come out as their bias.
        """
        weight, bias = self.weight[self.row(view)], self.bias[self.row(view)]
        if kept is None:
            return F.layer_norm(x, x.shape[-1:], weight, bias)
        x = at_least_float32(x)
        share = kept.to(x.dtype) / kept.sum()
        centred = (x - (x * share).sum(dim=-1, keepdim=True)) * kept
        variance = (centred.square() * share).sum(dim=-1, keepdim=True)
        return torch.addcmul(bias, centred * torch.rsqrt(variance + EPSILON), weight)
