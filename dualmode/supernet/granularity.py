"""What lives or dies together when weights are pruned.

A granularity turns the importance of single weights into scores of groups, and the groups that are kept back into
masks.  Groups of the four kinds in a layer of 4 outputs (rows) and 8 inputs, each group a letter::

    unstructured   blocks 2x4   n_of_m 4        units: rows of one layer with columns of the next
    abcdefgh       aaaabbbb     aaaabbbb        aaaaaaaa     abcd
    ijklmnop       aaaabbbb     ccccdddd        bbbbbbbb     abcd
    qrstuvwx       ccccdddd     eeeeffff        cccccccc     abcd
    ...            ccccdddd     gggghhhh        dddddddd     abcd

Of unstructured weights, blocks and units, whole groups are kept; of each ``n_of_m`` group, its best n weights.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, nn

from dualmode.errors import UserError
from dualmode.supernet.masked_linear import MaskedLinear, prunable
from dualmode.supernet.ranking import keep_best
from dualmode.supernet.units import Units, unit_groups

Importance = Mapping[
    str, Tensor
]  # of every weight (out, in) of every prunable layer, by the layer's name; none below 0


class Ranking(ABC):
    """Groups that are compared with each other.

    Attributes:
        name: of the layer, or of the module whose layers are tied.
        layers: the prunable layers that the groups are in, by name.
        group_size: weights in a group.
    """

    name: str
    layers: Mapping[str, MaskedLinear]
    group_size: int

    @abstractmethod
    def scores(self, importance: Importance) -> Tensor:
        """Return the mean importance of a weight of each group, in any shape."""

    @abstractmethod
    def kept(self, level: int) -> Tensor:
        """Return which groups the layers' masks of ``level`` (above 0) keep, booleans shaped as scores.

        One weight speaks for its group, so the masks have to be made of such groups.
        """

    @abstractmethod
    def masks(self, keep: Tensor) -> dict[str, Tensor]:
        """Return the mask (out, in) of each layer if the groups of the boolean ``keep``, shaped as scores, stay."""


@dataclass(frozen=True)
class BlockRanking(Ranking):
    """Blocks of one layer."""

    name: str
    layer: MaskedLinear
    block: tuple[int, int]

    @property
    def layers(self) -> Mapping[str, MaskedLinear]:
        return {self.name: self.layer}

    @property
    def group_size(self) -> int:
        return self.block[0] * self.block[1]

    def scores(self, importance: Importance) -> Tensor:
        (rows, columns), values = self.block, importance[self.name]
        if self.block == (1, 1):
            return values
        out, inner = values.shape
        return values.reshape(out // rows, rows, inner // columns, columns).mean(dim=(1, 3))

    def kept(self, level: int) -> Tensor:
        return self.layer.masks[level - 1, :: self.block[0], :: self.block[1]]

    def masks(self, keep: Tensor) -> dict[str, Tensor]:
        return {self.name: keep.repeat_interleave(self.block[0], dim=0).repeat_interleave(self.block[1], dim=1)}


@dataclass(frozen=True)
class UnitRanking(Ranking):
    """Units of one module, such as the hidden units of a feed-forward module."""

    name: str
    layers: Mapping[str, MaskedLinear]
    units: Units

    @property
    def group_size(self) -> int:
        rows, columns = self.units.rows.shape[1], self.units.columns.shape[1]
        made, read = self._shapes()
        return rows * made[1] + columns * read[0]

    def scores(self, importance: Importance) -> Tensor:
        made = importance[f"{self.name}.{self.units.made_by}"].sum(dim=1)[self.units.rows].sum(dim=1)
        read = importance[f"{self.name}.{self.units.read_by}"].sum(dim=0)[self.units.columns].sum(dim=1)
        return (made + read) / self.group_size

    def kept(self, level: int) -> Tensor:
        return self.layers[f"{self.name}.{self.units.made_by}"].masks[level - 1, self.units.rows[:, 0], 0]

    def masks(self, keep: Tensor) -> dict[str, Tensor]:
        made, read = (torch.zeros(shape, dtype=torch.bool, device=keep.device) for shape in self._shapes())
        made[self.units.rows[keep].flatten()] = True
        read[:, self.units.columns[keep].flatten()] = True
        return {f"{self.name}.{self.units.made_by}": made, f"{self.name}.{self.units.read_by}": read}

    def _shapes(self) -> tuple[torch.Size, torch.Size]:
        return tuple(
            self.layers[f"{self.name}.{layer}"].weight.shape for layer in (self.units.made_by, self.units.read_by)
        )


class Granularity(ABC):
    """Which weights live or die together."""

    @abstractmethod
    def rankings(self, module: nn.Module) -> Iterator[Ranking]:
        """Yield the rankings of everything prunable below ``module``, in a fixed order.

        Raises:
            UserError: a layer cannot be cut into such groups; names it.
        """

    def keep(self, scores: Tensor, sparsity: float) -> Tensor:
        """Return the boolean tensor, shaped as ``scores``, of what stays of one ranking."""
        return keep_best(scores, round((1.0 - sparsity) * scores.numel()))


@dataclass(frozen=True)
class Blocks(Granularity):
    """Blocks of ``rows`` outputs and ``columns`` inputs; 1x1 is unstructured pruning."""

    rows: int
    columns: int

    def __str__(self) -> str:
        return "unstructured" if self.rows == self.columns == 1 else f"blocks of {self.rows}x{self.columns}"

    def rankings(self, module: nn.Module) -> Iterator[Ranking]:
        for name, layer in prunable(module):
            out, inner = layer.weight.shape
            if out % self.rows or inner % self.columns:
                size = f"{self.rows}x{self.columns}"
                raise UserError(f"blocks of {size} do not divide layer {name} of {out}x{inner} (outputs x inputs)")
            yield BlockRanking(name, layer, (self.rows, self.columns))


@dataclass(frozen=True)
class NOfM(Granularity):
    """Of every ``m`` neighbouring inputs of an output, the best ``(1 - sparsity) * m``: 2:4 is m = 4 at 50 %."""

    m: int

    def __str__(self) -> str:
        return f"n of {self.m}"

    def rankings(self, module: nn.Module) -> Iterator[Ranking]:
        for name, layer in prunable(module):
            if layer.weight.shape[1] % self.m:
                raise UserError(f"groups of {self.m} inputs do not divide the {layer.weight.shape[1]} of layer {name}")
            yield BlockRanking(name, layer, (1, 1))

    def keep(self, scores: Tensor, sparsity: float) -> Tensor:
        """Rank by comparing pairs, the earlier winning a tie: many times as fast as sorting millions of short rows."""
        columns = scores.reshape(-1, self.m).unbind(dim=1)
        beaten = [torch.zeros_like(column, dtype=torch.int16) for column in columns]  # by how many of its group
        for first, second in combinations(range(self.m), 2):
            wins = columns[first] >= columns[second]
            beaten[second] += wins
            beaten[first] += ~wins
        best = round((1.0 - sparsity) * self.m)
        return torch.stack([count < best for count in beaten], dim=1).reshape(scores.shape)


@dataclass(frozen=True)
class WholeUnits(Granularity):
    """Hidden units of feed-forward modules, attention heads, channels of convolutions: a smaller model stays."""

    def __str__(self) -> str:
        return "whole units"

    def rankings(self, module: nn.Module) -> Iterator[Ranking]:
        for name, owner, units in unit_groups(module):
            layers = {f"{name}.{layer}": getattr(owner, layer) for layer in (units.made_by, units.read_by)}
            yield UnitRanking(name, layers, units)

    def keep(self, scores: Tensor, sparsity: float) -> Tensor:
        """Keep at least one: a module of nothing, such as attention without heads, is not a smaller module."""
        return keep_best(scores, max(1, round((1.0 - sparsity) * scores.numel())))
