"""What a mask keeps of the units of a module, and where in the layers it lies.

Here with names and checks, for what cuts out or stores a sub-network; a pass asks :meth:`View.kept`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from dualmode.errors import UserError
from dualmode.supernet.units import Units, unit_groups
from dualmode.supernet.view import View


@dataclass(frozen=True)
class KeptUnits:
    """What one mask keeps of the units of one module.

    Attributes:
        name: of the module.
        owner: the module itself.
        units: all of its units.
        keep: (units,) booleans, which of them stay.
    """

    name: str
    owner: nn.Module
    units: Units
    keep: Tensor

    @property
    def made_by(self) -> str:
        """Return the full name of the layer that makes the units."""
        return f"{self.name}.{self.units.made_by}"

    @property
    def read_by(self) -> str:
        """Return the full name of the layer that reads the units."""
        return f"{self.name}.{self.units.read_by}"

    @property
    def count(self) -> int:
        """Return how many units stay."""
        return int(self.keep.sum())

    @property
    def rows(self) -> Tensor:
        """Return the rows of the kept units in ``made_by``, (rows,), in the order of the smaller layer."""
        return self.units.kept(self.keep).rows

    @property
    def columns(self) -> Tensor:
        """Return the columns of the kept units in ``read_by``, (columns,), in the order of the smaller layer."""
        return self.units.kept(self.keep).columns


def kept_units(module: nn.Module, view: View) -> Iterator[KeptUnits]:
    """Yield what ``view``, of one of the masks, keeps of everything below ``module`` that has units, in a fixed order.

    Raises:
        UserError: the mask of a module cuts through its units; names the module.
    """
    for name, owner, units in unit_groups(module):
        made, read = (view.mask(getattr(owner, layer)) for layer in (units.made_by, units.read_by))
        keep = made[units.rows[:, 0]].any(dim=1)
        whole = made[units.rows].all(dim=(1, 2)) == keep, read[:, units.columns].all(dim=(0, 2)) == keep
        if not (whole[0].all() and whole[1].all()):
            raise UserError(f"the mask of {name} cuts through units: it was not pruned with granularity units")
        yield KeptUnits(name, owner, units, keep)
