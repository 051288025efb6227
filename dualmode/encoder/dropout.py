"""Dropout that costs little on a CPU."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Dropout(nn.Module):
    """Dropout with a rate in steps of 1/256 on the CPU; torch's own elsewhere.

    torch draws one number an element on a CPU, one after the other, which would be a quarter of a Conformer's training
    time.  Here eight elements share one 64-bit draw, a byte each; and the bytes become 0 or 1 by arithmetic, since
    comparisons that give booleans are an order of magnitude slower than it is.
    """

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.rate)
        dropped = max(1, round(256 * self.rate))  # of the 256 values of a byte
        draws = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
        keep = draws.view(torch.uint8)[: x.numel()].view(x.shape).clamp_(dropped - 1, dropped).sub_(dropped - 1)
        return x * keep.to(x.dtype).mul_(256 / (256 - dropped))
