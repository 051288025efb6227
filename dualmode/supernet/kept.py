"""What a mask keeps of the units of a module, and where in the layers it lies.

Of four hidden units, the mask keeps b and d::

    keep     0 1 0 1          units a b c d
    rows     [1, 3]           of the layer that makes them
    columns  [1, 3]           of the layer that reads them
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
        """Return the rows of the kept units in ``made_by``, (rows,), in the order of the smaller layer.

        The rows of one unit lie in several parts, such as queries, keys and values, each of as many rows as the unit
        has columns; the smaller layer holds the first part of all units, then the second, and so on.
        """
        parts = self.units.rows[self.keep].unflatten(1, (-1, self.units.columns.shape[1]))
        return parts.transpose(0, 1).flatten()

    @property
    def columns(self) -> Tensor:
        """Return the columns of the kept units in ``read_by``, (columns,), in the order of the smaller layer."""
        return self.units.columns[self.keep].flatten()


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
