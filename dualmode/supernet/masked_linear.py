"""A Linear layer that runs dense or through one of its masks."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MaskedLinear(nn.Linear):
    """Linear layer of the supernet.

    ``level`` says which weights a call uses::

        level 0      all of them
        level i > 0  those that masks[i - 1] keeps

    The weight itself stays whole: the dense branch trains every entry, the sparse branch sends gradient only to kept
    ones, and a later mask may bring a pruned entry back.

    Args:
        in_features: size of an input vector.
        out_features: size of an output vector.
        levels: number of masks; all start by keeping everything.
    """

    masks: Tensor  # (levels, out_features, in_features), bool

    def __init__(self, in_features: int, out_features: int, levels: int = 1):
        super().__init__(in_features, out_features)
        self.register_buffer("masks", torch.ones(levels, out_features, in_features, dtype=torch.bool))

    def weight_at(self, level: int) -> Tensor:
        """Return the weight (out_features, in_features) as ``level`` sees it."""
        if level == 0:
            return self.weight
        # By way of bytes, since torch turns booleans into floats ten times more slowly on a CPU.
        return self.weight * self.masks[level - 1].view(torch.uint8).to(self.weight.dtype)

    def forward(self, x: Tensor, level: int) -> Tensor:  # type: ignore[override]  # nn.Linear knows no level
        """Map x (..., in_features) to (..., out_features)."""
        return F.linear(x, self.weight_at(level), self.bias)


def prunable(module: nn.Module) -> Iterator[tuple[str, MaskedLinear]]:
    """Yield the name and layer of everything that can be pruned below ``module``, in a fixed order."""
    for name, layer in module.named_modules():
        if isinstance(layer, MaskedLinear):
            yield name, layer
