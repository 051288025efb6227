"""What lives or dies together when weights are pruned.

A granularity turns the importance of single weights into scores of groups, and the groups that are kept back into
masks.  Groups of the four kinds in a layer of 4 outputs (rows) and 8 inputs, each group a letter::

    unstructured   blocks 2x4   n_of_m 4        units: rows of one layer with columns of the next
    abcdefgh       aaaabbbb     aaaabbbb        aaaaaaaa     abcd
    ijklmnop       aaaabbbb     ccccdddd        bbbbbbbb     abcd
    qrstuvwx       ccccdddd     eeeeffff        cccccccc     abcd
    ...            ccccdddd     gggghhhh        dddddddd     abcd

Of unstructured weights, blocks and units, whole groups are kept; of each ``n_of_m`` group, its best n weights.

What follows from a granularity elsewhere (sparsities, scope, storage, what runs) is said by its class, so that nobody
has to ask which one it is.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import ClassVar

import torch
from torch import Tensor, nn

from dualmode.errors import UserError
from dualmode.supernet.masked_linear import MaskedLinear, prunable
from dualmode.supernet.ranking import keep_best
from dualmode.supernet.units import Units, unit_groups

# Of every weight (out, in) of every prunable layer, by the layer's name; none below 0.
Importance = Mapping[str, Tensor]


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
    def layers(self) -> Mapping[str, MaskedLinear]:  # type: ignore[override]  # follows from the fields
        return {self.name: self.layer}

    @property
    def group_size(self) -> int:  # type: ignore[override]  # follows from the fields
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
    def group_size(self) -> int:  # type: ignore[override]  # follows from the fields
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
        made, read = (self.layers[f"{self.name}.{layer}"] for layer in (self.units.made_by, self.units.read_by))
        return made.weight.shape, read.weight.shape


class Granularity(ABC):
    """Which weights live or die together, and what follows from it.

    Attributes:
        global_scope: whether groups of all layers can be compared with each other.
        leaves_smaller_model: whether the masks leave out whole parts, so that what stays is a smaller dense model.
        runs_on_device_engine: whether the device engine knows such masks.
        stored_block: (rows, columns) of the blocks that a sub-network is stored in.
    """

    global_scope: ClassVar[bool] = False
    leaves_smaller_model: ClassVar[bool] = False
    runs_on_device_engine: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def from_block(cls, block: Sequence[int]) -> "Granularity":
        """Return the granularity that a configuration with this ``block``, two whole numbers above 0, means.

        Raises:
            UserError: the granularity has no such block.
        """

    @property
    def stored_block(self) -> tuple[int, int]:
        return (1, 1)

    def check_sparsity(self, sparsity: float) -> None:
        """Raise UserError if masks cannot prune this share of the weights; any will do where groups are ranked."""
        return

    @abstractmethod
    def rankings(self, module: nn.Module) -> Iterator[Ranking]:
        """Yield the rankings of everything prunable below ``module``, in a fixed order.

        Raises:
            UserError: a layer cannot be cut into such groups; names it.
        """

    def keep(self, scores: Tensor, sparsity: float) -> Tensor:
        """Return the boolean tensor, shaped as ``scores``, of what stays of one ranking."""
        return keep_best(scores, round((1.0 - sparsity) * scores.numel()))

    def check_kept(self, name: str, keep: Tensor, sparsity: float) -> None:
        """Check that the groups kept of one ranking are what ``sparsity`` keeps, give or take one.

        Args:
            name: of the ranking.
            keep: booleans, shaped as its scores.

        Raises:
            UserError: they are not; names the ranking.
        """
        wanted = self.keep(keep.float(), sparsity)
        if abs(int(keep.sum()) - int(wanted.sum())) > 1:
            raise wrong_sparsity(f"layer {name}", keep.float().mean().item(), sparsity)


def wrong_sparsity(where: str, share: float, sparsity: float) -> UserError:
    """Return the error for masks that keep ``share``, which is not what ``sparsity`` keeps."""
    return UserError(
        f"the mask of {where} keeps {share:.3g} of what can be pruned, but a sparsity of {sparsity:g} keeps "
        f"{1 - sparsity:.3g}: the checkpoint was not pruned to that sparsity (see dualmode prune)"
    )


@dataclass(frozen=True)
class Blocks(Granularity):
    """Blocks of ``rows`` outputs and ``columns`` inputs; 1x1 is unstructured pruning."""

    rows: int
    columns: int

    global_scope = True
    runs_on_device_engine = True

    @classmethod
    def from_block(cls, block: Sequence[int]) -> "Blocks":
        return cls(*block)

    @property
    def stored_block(self) -> tuple[int, int]:
        return (self.rows, self.columns)

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
class Unstructured(Blocks):
    """Single weights, whatever block the configuration names; the device engine has no such masks at all."""

    rows: int = field(default=1, init=False)
    columns: int = field(default=1, init=False)

    runs_on_device_engine = False

    @classmethod
    def from_block(cls, block: Sequence[int]) -> "Unstructured":
        return cls()


@dataclass(frozen=True)
class NOfM(Granularity):
    """Of every ``m`` neighbouring inputs of an output, the best ``(1 - sparsity) * m``: 2:4 is m = 4 at 50 %."""

    m: int

    @classmethod
    def from_block(cls, block: Sequence[int]) -> "NOfM":
        if block[0] != 1 or block[1] < 2:
            raise UserError(f"block is {list(block)}: granularity n_of_m needs [1, m], such as [1, 4] for 2:4")
        return cls(block[1])

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

    def check_sparsity(self, sparsity: float) -> None:
        kept = (1 - sparsity) * self.m
        if round(kept) < 1 or abs(kept - round(kept)) > 1e-6:
            raise UserError(
                f"a sparsity of {sparsity:g} keeps {kept:g} of {self.m} weights: it must be a whole number of at "
                "least 1"
            )

    def check_kept(self, name: str, keep: Tensor, sparsity: float) -> None:
        """Check the groups of ``m`` as well: the right number in all does not mean the right number in each."""
        super().check_kept(name, keep, sparsity)
        if (keep.reshape(-1, self.m).sum(dim=1) != round((1.0 - sparsity) * self.m)).any():
            raise UserError(f"the mask of layer {name} has groups of {self.m} that keep too many")


@dataclass(frozen=True)
class WholeUnits(Granularity):
    """Hidden units of feed-forward modules, attention heads, channels of convolutions: a smaller model stays."""

    leaves_smaller_model = True

    @classmethod
    def from_block(cls, block: Sequence[int]) -> "WholeUnits":
        return cls()

    def __str__(self) -> str:
        return "whole units"

    def rankings(self, module: nn.Module) -> Iterator[Ranking]:
        for name, owner, units in unit_groups(module):
            layers = {f"{name}.{layer}": getattr(owner, layer) for layer in (units.made_by, units.read_by)}
            yield UnitRanking(name, layers, units)

    def keep(self, scores: Tensor, sparsity: float) -> Tensor:
        """Keep at least one: a module of nothing, such as attention without heads, is not a smaller module."""
        return keep_best(scores, max(1, round((1.0 - sparsity) * scores.numel())))


GRANULARITIES: dict[str, type[Granularity]] = {
    "blocks": Blocks,
    "unstructured": Unstructured,
    "n_of_m": NOfM,
    "units": WholeUnits,
}  # by the name in a configuration
