"""The Conformer's convolution module, with a depthwise convolution that stops at the chunk's end.

Dynamic chunk convolution, after Li et al. (2023), "Dynamic Chunk Convolution for Unified Streaming and Non-Streaming
Conformer ASR" (arXiv 2304.09325): the kernel stays centred, so the full context loses nothing; in chunks, taps that
reach past the chunk's end see zeros.  Kernel 5, chunk 3::

    chunk ABC | DEF        output C sees A B C 0 0, output D sees B C D E F
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualmode.encoder.depthwise import depthwise
from dualmode.encoder.layout import Layout
from dualmode.supernet.masked_linear import MaskedLinear
from dualmode.supernet.subnet_norm import SubnetNorm
from dualmode.supernet.units import Kept, UnitModule, Units
from dualmode.supernet.view import View


class Convolution(UnitModule):
    """Pointwise, gated linear unit, depthwise, norm, SiLU, pointwise.

    Where masks prune whole channels, the norm leaves the pruned ones out, as the smaller module without them does.

    Args:
        size: width of the model, d.
        channels: of the depthwise convolution.
        kernel: taps of the depthwise convolution, odd.
        levels: number of masks of the two pointwise (Linear) layers; the depthwise one is not pruned.
        separate: whether each sub-network has a norm of its own.
    """

    made_by, read_by = "expand", "project"

    def __init__(self, size: int, channels: int, kernel: int, levels: int, separate: bool = True):
        super().__init__()
        self.reach = kernel // 2
        self.expand = MaskedLinear(size, 2 * channels, levels)
        self.depthwise = nn.Conv1d(channels, channels, kernel, groups=channels)
        self.norm = SubnetNorm(channels, levels, separate)
        self.project = MaskedLinear(channels, size, levels)

    def forward(self, x: Tensor, view: View, layout: Layout, kept: Kept | None = None) -> Tensor:
        """Map x (rows, frames, d) to the same shape, as ``layout`` arranges the rows."""
        weight, bias = self.depthwise.weight, self.depthwise.bias
        if kept is not None:
            weight, bias = weight.index_select(0, kept.units), bias.index_select(0, kept.units)
        x = F.glu(self.expand.make(x, view, kept), dim=-1) * layout.valid
        x = depthwise(layout.extended(x, self.reach), weight, bias)
        if kept is not None:
            x = self.norm.of_units(x, view, kept.units)
        else:
            x = self.norm(x, view, view.keep(self))
        return self.project.read(F.silu(x), view, kept)

    def units(self) -> Units:
        """Return the channels: their rows of values and of gates, and their columns of the output."""
        each = torch.arange(self.project.in_features, device=self.project.weight.device).unsqueeze(1)
        return Units(self.made_by, self.read_by, torch.cat([each, each + self.project.in_features], dim=1), each)
