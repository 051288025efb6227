"""Which weights a sparse sub-network keeps: masks from the supernet's own weights.

The criterion is the mean magnitude of a block of weights, ranked within a layer.  Masks for several sparsities come
from one ranking, so a sparser one keeps a subset of what a denser one keeps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dualmode.errors import UserError
from dualmode.supernet.masked_linear import MaskedLinear


@dataclass(frozen=True)
class PruningSchedule:
    """When the masks are found anew, and how sparse they are by then.

    The sparsity follows the cubic ramp of Zhu and Gupta (2017), "To prune, or not to prune"; steps are training
    batches::

        target |            ________
               |       _--
               |    _/
             0 |____/
               0   begin    end       step

    Args:
        begin: first step at which masks are estimated.
        end: step at which the target is reached; ``end == begin`` is one-shot pruning.
        interval: steps between two estimates of the masks up to ``end``; 0 never touches the masks.
        after: steps between two estimates after ``end``; 0 keeps the masks fixed from then on.
        start: share of the target at ``begin``: 0 is the ramp above, 1 estimates masks of the full sparsity from the
            beginning, so that a weight may leave and come back until ``end``.
    """

    begin: int = 0
    end: int = 0
    interval: int = 0
    after: int = 0
    start: float = 0.0

    def __post_init__(self):
        if min(self.begin, self.interval, self.after) < 0 or self.end < self.begin or not 0 <= self.start <= 1:
            raise UserError(
                f"the pruning schedule {self} is impossible: begin, interval and after must be 0 or more, "
                "end no smaller than begin, and start between 0 and 1"
            )

    def fraction(self, step: int) -> float:
        """Return the share of the target sparsity that holds at ``step``.

        >>> [round(PruningSchedule(0, 100, 10).fraction(step), 3) for step in (0, 50, 100, 500)]
        [0.0, 0.875, 1.0, 1.0]
        """
        if step >= self.end:
            return 1.0
        done = max(step - self.begin, 0) / (self.end - self.begin)
        return 1.0 - (1.0 - self.start) * (1.0 - done) ** 3

    def due(self, step: int) -> bool:
        """Return whether the masks are to be estimated before optimizer step ``step``."""
        if self.interval == 0:
            return False
        if self.begin <= step < self.end:
            return (step - self.begin) % self.interval == 0
        if step == self.end:
            return True
        return step > self.end and self.after > 0 and (step - self.end) % self.after == 0


def check_block(shape: Sequence[int], block: Sequence[int], name: str) -> None:
    """Raise UserError unless ``block`` (rows, columns) divides ``shape`` (out, in) of the layer ``name``."""
    if len(block) != 2 or min(block) < 1 or shape[0] % block[0] or shape[1] % block[1]:
        size = "x".join(map(str, block))
        raise UserError(f"blocks of {size} do not divide layer {name} of {shape[0]}x{shape[1]} (outputs x inputs)")


def block_importance(weight: Tensor, block: Sequence[int]) -> Tensor:
    """Return the mean magnitude of each block of ``weight`` (out, in) as (out / rows, in / columns)."""
    rows, columns = block
    out, inner = weight.shape
    return weight.detach().abs().reshape(out // rows, rows, inner // columns, columns).mean(dim=(1, 3))


def keep_best(importance: Tensor, sparsity: float) -> Tensor:
    """Return a boolean tensor that keeps the ``round((1 - sparsity) * n)`` most important of n entries.

    Ties go to the earlier entry, so that every machine finds the same mask.

    >>> keep_best(torch.tensor([[4.0, 1.0], [2.0, 3.0]]), 0.5)
    tensor([[ True, False],
            [False,  True]])
    """
    flat = importance.flatten()
    kept = round((1.0 - sparsity) * flat.numel())
    order = torch.argsort(flat, descending=True, stable=True)
    keep = torch.zeros_like(flat, dtype=torch.bool)
    keep[order[:kept]] = True
    return keep.reshape(importance.shape)


def block_mask(weight: Tensor, sparsity: float, block: Sequence[int]) -> Tensor:
    """Return the mask (out, in) that keeps the blocks of ``weight`` with the largest mean magnitude."""
    keep = keep_best(block_importance(weight, block), sparsity)
    return keep.repeat_interleave(block[0], dim=0).repeat_interleave(block[1], dim=1)


def prunable(module: nn.Module) -> Iterator[tuple[str, MaskedLinear]]:
    """Yield the name and layer of everything that can be pruned below ``module``, in a fixed order."""
    for name, layer in module.named_modules():
        if isinstance(layer, MaskedLinear):
            yield name, layer


def check_prunable(module: nn.Module, block: Sequence[int]) -> None:
    """Raise UserError if ``block`` does not divide a layer below ``module``, which it names."""
    for name, layer in prunable(module):
        check_block(layer.weight.shape, block, name)


@torch.no_grad()
def estimate_masks(module: nn.Module, sparsities: Sequence[float], block: Sequence[int], fraction: float = 1.0) -> None:
    """Write new masks into every prunable layer below ``module``, from its present weights.

    Args:
        module: holds :class:`MaskedLinear` layers with ``len(sparsities)`` masks each.
        sparsities: the target of each mask, ascending.
        block: rows (outputs) and columns (inputs) that live or die together.
        fraction: how far the schedule is, 1 for the full target.
    """
    for name, layer in prunable(module):
        check_block(layer.weight.shape, block, name)
        for level, sparsity in enumerate(sparsities):
            layer.masks[level] = block_mask(layer.weight, sparsity * fraction, block)


def layer_report(module: nn.Module, level: int) -> list[dict]:
    """Return, for every prunable layer below ``module``, its name, shape, kind and the share of weights kept."""
    return [
        {
            "name": name,
            "kind": name.split(".")[-2],
            "shape": list(layer.weight.shape),
            "kept_share": layer.masks[level - 1].float().mean().item(),
        }
        for name, layer in prunable(module)
    ]


def check_masks(module: nn.Module, sparsities: Sequence[float], block: Sequence[int]) -> None:
    """Raise UserError unless every mask below ``module`` is made of whole blocks and has its sparsity, to one block."""
    size = block[0] * block[1]
    for name, layer in prunable(module):
        for mask, sparsity in zip(layer.masks, sparsities, strict=True):
            kept, wanted = int(mask.sum()), (1.0 - sparsity) * mask.numel()
            if abs(kept - wanted) > size:
                raise UserError(
                    f"the mask of layer {name} keeps {kept} of {mask.numel()} weights, but a sparsity of {sparsity:g} "
                    f"keeps {wanted:.0f}: the checkpoint was not pruned to that sparsity (see dualmode.bin.prune)"
                )
            if not torch.equal(mask, block_mask(mask.float(), 1.0 - kept / mask.numel(), block)):
                raise UserError(f"the mask of layer {name} is not made of whole blocks of {block[0]}x{block[1]}")
