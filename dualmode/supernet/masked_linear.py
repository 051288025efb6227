"""A Linear layer that runs dense or through one of its masks."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualmode.supernet.units import Kept
from dualmode.supernet.view import View


class MaskedLinear(nn.Linear):
    """Linear layer of the supernet.

    A call names the :class:`View` that it is run as: all weights, or those that one of the masks keeps.

    The weight itself stays whole: the dense branch trains every entry, the sparse branch sends gradient only to kept
    ones, and a later mask may bring a pruned entry back.

    Args:
        in_features: size of an input vector.
        out_features: size of an output vector.
        levels: number of masks; all start by keeping everything.
    """

    masks: Tensor  # (levels, out_features, in_features), bool
    input_norms: Tensor | None  # (in_features,), see hold_input_norms

    def __init__(self, in_features: int, out_features: int, levels: int = 1):
        super().__init__(in_features, out_features)
        self.register_buffer("masks", torch.ones(levels, out_features, in_features, dtype=torch.bool))
        self.register_buffer("input_norms", None)

    def hold_input_norms(self) -> None:
        """Keep the norms of the inputs beside the masks, in the state too: how much each column counts when pruned.

        They are 1 until :func:`dualmode.supernet.activations.measure_inputs` has heard some utterances.
        """
        self.register_buffer("input_norms", torch.ones(self.in_features))

    def importance(self) -> Tensor:
        """Return how much each weight (out_features, in_features) counts: its magnitude, times its input's norm."""
        magnitude = self.weight.detach().abs()
        return magnitude if self.input_norms is None else magnitude * self.input_norms.to(magnitude.dtype)

    def weight_at(self, view: View) -> Tensor:
        """Return the weight (out_features, in_features) as ``view`` sees it."""
        mask = view.mask(self)
        if mask is None:
            return self.weight
        if self.weight.device.type == "cpu":  # where torch turns bytes into floats ten times as fast as booleans
            mask = mask.view(torch.uint8)
        return self.weight * mask.to(self.weight.dtype)

    def forward(self, x: Tensor, view: View) -> Tensor:  # type: ignore[override]  # nn.Linear knows no view
        """Map x (..., in_features) to (..., out_features)."""
        return F.linear(x, self.weight_at(view), self.bias)

    def make(self, x: Tensor, view: View, kept: Kept | None) -> Tensor:
        """Map x (..., in_features) to the units that are ``kept``, (..., rows); None is :meth:`forward`.

        Rows are selected in every pass: gradients go to the whole weight, and are 0 where nothing was selected.
        """
        if kept is None:
            return self(x, view)
        return F.linear(x, self.weight.index_select(0, kept.rows), self.bias.index_select(0, kept.rows))

    def read(self, x: Tensor, view: View, kept: Kept | None) -> Tensor:
        """Map the units that are ``kept``, (..., columns), to (..., out_features); None is :meth:`forward`."""
        if kept is None:
            return self(x, view)
        return F.linear(x, self.weight.index_select(1, kept.columns), self.bias)


def prunable(module: nn.Module) -> Iterator[tuple[str, MaskedLinear]]:
    """Yield the name and layer of everything that can be pruned below ``module``, in a fixed order."""
    for name, layer in module.named_modules():
        if isinstance(layer, MaskedLinear):
            yield name, layer
