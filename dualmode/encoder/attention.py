"""Multi-head self-attention whose projections are prunable."""

from torch import Tensor, nn

from dualmode.supernet.masked_linear import MaskedLinear


class Attention(nn.Module):
    """Scaled dot-product attention with rotary positions; the layout of the pass says who sees whom.

    Args:
        size: width of the model, d.
        heads: number of heads.
        levels: number of masks.
    """

    def __init__(self, size: int, heads: int, levels: int):
        super().__init__()
        self.heads = heads
        self.qkv = MaskedLinear(size, 3 * size, levels)
        self.out = MaskedLinear(size, size, levels)

    def forward(self, x: Tensor, level: int, layout) -> Tensor:
        """Map x (rows, frames, d) to the same shape; ``layout`` is one of :mod:`dualmode.encoder.layout`."""
        qkv = self.qkv(x, level).unflatten(-1, (3, self.heads, -1))
        return self.out(layout.attend(qkv[:, :, :2], qkv[:, :, 2]).flatten(2), level)
