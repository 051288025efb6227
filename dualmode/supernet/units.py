"""Units of a module: what it computes in the middle, and could do without.

A unit is made by rows of one Linear layer and read by columns of another.  Without both, the module is a smaller one
that computes the same as the masked one::

    x --[ made_by ]-- units --[ read_by ]-- y        feed-forward: hidden units
                                                     attention:    heads (rows of queries, keys and values)
                                                     convolution:  channels (rows of values and of gates)
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import Tensor, nn


@dataclass(frozen=True)
class Units:
    """The units of one module.

    Attributes:
        made_by, read_by: attributes of the module, both :class:`MaskedLinear`.
        rows: (units, rows of each), of ``made_by``'s weight.
        columns: (units, columns of each), of ``read_by``'s weight.
    """

    made_by: str
    read_by: str
    rows: Tensor
    columns: Tensor

    def kept(self, keep: Tensor) -> "Kept":
        """Return where the units lie that ``keep`` (units,) booleans names.

        The rows of one unit lie in several parts, such as queries, keys and values, each of as many rows as the unit
        has columns; the smaller layer holds the first part of all units, then the second, and so on.
        """
        parts = self.rows[keep].unflatten(1, (-1, self.columns.shape[1]))
        return Kept(parts.transpose(0, 1).flatten(), self.columns[keep].flatten(), keep.nonzero()[:, 0])


@dataclass(frozen=True)
class Kept:
    """Units that stay, of four the second and the last::

        keep     0 1 0 1          units a b c d
        rows     [1, 3]           of the layer that makes them
        columns  [1, 3]           of the layer that reads them

    Attributes:
        rows: (rows,), in the order of the smaller layer.
        columns: (columns,), likewise.
        units: (units,).
    """

    rows: Tensor
    columns: Tensor
    units: Tensor


@dataclass
class KeptCache:
    """What masks keep of one module, found once for all passes until the masks change: finding it waits for a GPU."""

    found: dict[int, tuple[tuple, Kept]] = field(default_factory=dict)  # by level

    def get(self, level: int, masks: Tensor) -> Kept | None:
        """Return what was found for these very masks, if it was."""
        about, kept = self.found.get(level, ((), None))
        return kept if about == self._about(masks) else None

    def put(self, level: int, masks: Tensor, kept: Kept) -> None:
        if not (masks.is_inference() or kept.rows.is_inference()):  # changes of the former are not counted
            self.found[level] = self._about(masks), kept

    @staticmethod
    def _about(masks: Tensor) -> tuple:
        return () if masks.is_inference() else (id(masks), masks._version, masks.device)


class UnitModule(nn.Module, ABC):
    """A module whose middle is made of units that masks may keep or prune as wholes.

    Attributes:
        made_by, read_by: names of the layers that make and read its units.
    """

    made_by: str
    read_by: str

    def __init__(self):
        super().__init__()
        self.kept_cache = KeptCache()

    @abstractmethod
    def units(self) -> Units:
        """Return all units."""


def unit_groups(module: nn.Module) -> Iterator[tuple[str, UnitModule, Units]]:
    """Yield the name, the module and the units of everything below ``module`` that has units, in a fixed order."""
    for name, owner in module.named_modules():
        if isinstance(owner, UnitModule):
            yield name, owner, owner.units()
