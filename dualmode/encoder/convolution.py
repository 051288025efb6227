"""The Conformer's convolution module, with a depthwise convolution that stops at the chunk's end.

Dynamic chunk convolution, after Li et al. (2023), "Dynamic Chunk Convolution for Unified Streaming and Non-Streaming
Conformer ASR" (arXiv 2304.09325): the kernel stays centred, so the full context loses nothing; in chunks, taps that
reach past the chunk's end see zeros.  Kernel 5, chunk 3::

    chunk ABC | DEF        output C sees A B C 0 0, output D sees B C D E F
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualmode.encoder.padding import pad_frames, windows
from dualmode.supernet.masked_linear import MaskedLinear
from dualmode.supernet.subnet_norm import SubnetNorm


class Convolution(nn.Module):
    """Pointwise, gated linear unit, depthwise, norm, SiLU, pointwise.

    Args:
        size: width of the model, d.
        kernel: taps of the depthwise convolution, odd.
        levels: number of masks of the two pointwise (Linear) layers; the depthwise one is not pruned.
    """

    def __init__(self, size: int, kernel: int, levels: int):
        super().__init__()
        self.reach = kernel // 2
        self.expand = MaskedLinear(size, 2 * size, levels)
        self.depthwise = nn.Conv1d(size, size, kernel, groups=size)
        self.norm = SubnetNorm(size, levels)
        self.project = MaskedLinear(size, size, levels)

    def _gate(self, x: Tensor, level: int, valid: Tensor) -> Tensor:
        return F.glu(self.expand(x, level), dim=-1).masked_fill(~valid[..., None], 0.0)

    def _finish(self, x: Tensor, level: int) -> Tensor:
        return self.project(F.silu(self.norm(x, level)), level)

    def forward(self, x: Tensor, level: int, valid: Tensor, chunk: int | None) -> Tensor:
        """Map x (batch, frames, d) to the same shape; ``valid`` (batch, frames) says which frames are real."""
        x = self._gate(x, level, valid)
        batch, frames, size = x.shape
        if chunk is None:
            x = self.depthwise(F.pad(x.transpose(1, 2), (self.reach, self.reach))).transpose(1, 2)
        else:
            x = windows(pad_frames(x, chunk), chunk, self.reach).flatten(0, 1)
            x = self.depthwise(F.pad(x.transpose(1, 2), (0, self.reach))).transpose(1, 2)
            x = x.reshape(batch, -1, size)[:, :frames]
        return self._finish(x, level)

    def forward_chunk(self, x: Tensor, level: int, valid: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Convolve one chunk of a stream.

        Args:
            x: (batch, frames, d), the chunk.
            level: which weights.
            valid: (batch, frames), which frames are real.
            before: (batch, kernel // 2, d), gated frames before the chunk; zero before the start.

        Returns:
            the output (batch, frames, d) and the new ``before``.
        """
        x = torch.cat([before, self._gate(x, level, valid)], dim=1)
        mixed = self.depthwise(F.pad(x.transpose(1, 2), (0, self.reach))).transpose(1, 2)
        return self._finish(mixed, level), x[:, x.shape[1] - self.reach :]
