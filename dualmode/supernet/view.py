"""Which weights a pass uses: made once a pass, handed to every layer, and to what cuts out or stores a sub-network."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from dualmode.supernet.units import Kept, UnitModule


class HasMasks(Protocol):
    """A layer whose ``masks[i]`` (out_features, in_features) say what the i-th sub-network keeps of its weight."""

    masks: Tensor


@dataclass(frozen=True)
class View:
    """The supernet as one of its masks sees it.

    Args:
        level: 0 for all weights, i > 0 for those that every layer's ``masks[i - 1]`` keeps.
        whole: whether masks keep or prune whole units, so that what is computed beside them, such as a norm over
            channels, leaves out those that are pruned.
    """

    level: int = 0
    whole: bool = False

    def mask(self, layer: HasMasks) -> Tensor | None:
        """Return the mask (out_features, in_features) of a layer; None where all weights are used."""
        return layer.masks[self.level - 1] if self.level else None

    def kept(self, owner: UnitModule) -> Kept | None:
        """Return where the units of a module lie that stay; None where masks prune no whole units.

        A module that is given them leaves the others out of its products, as a smaller encoder does, instead of
        multiplying them by zeros: the same function and the same gradients, at the cost of what is kept.
        """
        masks = getattr(owner, owner.made_by).masks
        kept = owner.kept_cache.get(self.level, masks)
        if kept is None:
            keep = self.keep(owner)
            if keep is None:
                return None
            kept = owner.units().kept(keep)
            owner.kept_cache.put(self.level, masks, kept)
        return kept

    def keep(self, owner: UnitModule) -> Tensor | None:
        """Return which units of a module stay, (units,) booleans; None where masks prune no whole units.

        One weight speaks for its unit; :func:`dualmode.supernet.kept.kept_units` looks at all.
        """
        if not (self.level and self.whole):
            return None
        return self.mask(getattr(owner, owner.made_by))[owner.units().rows[:, 0], 0]

    def row(self, rows: int) -> int:
        """Return which of ``rows`` rows of parameters is this view's: there is one for each mask, or one for all."""
        return self.level if rows > 1 else 0


ALL = View()  # every weight
