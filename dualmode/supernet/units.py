"""Units of a module: what it computes in the middle, and could do without.

A unit is made by rows of one Linear layer and read by columns of another.  Without both, the module is a smaller one
that computes the same as the masked one::

    x --[ made_by ]-- units --[ read_by ]-- y        feed-forward: hidden units
                                                     attention:    heads (rows of queries, keys and values)
                                                     convolution:  channels (rows of values and of gates)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

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


class HasUnits(Protocol):
    """A module that knows its units."""

    def units(self) -> Units: ...


def unit_groups(module: nn.Module) -> Iterator[tuple[str, nn.Module, Units]]:
    """Yield the name, the module and the units of everything below ``module`` that has units, in a fixed order."""
    for name, owner in module.named_modules():
        if hasattr(owner, "units"):
            yield name, owner, owner.units()
