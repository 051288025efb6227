"""LayerNorm with a scale and a shift for each mask."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SubnetNorm(nn.Module):
    """LayerNorm whose few parameters are not shared between the sub-networks.

    A layer that lost most of its inputs gives smaller sums; with a scale of its own, a sparse sub-network need not
    agree with the dense one on what is usual.  Costs ``2 * size`` parameters a mask.

    Args:
        size: of the vectors.
        levels: number of masks; level 0, the dense sub-network, has its row as well.
    """

    def __init__(self, size: int, levels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(levels + 1, size))
        self.bias = nn.Parameter(torch.zeros(levels + 1, size))

    def forward(self, x: Tensor, level: int) -> Tensor:
        """Normalise x (..., size) as ``level`` does."""
        return F.layer_norm(x, x.shape[-1:], self.weight[level], self.bias[level])
