"""Which weights a sparse sub-network keeps: masks from the supernet's own weights.

The criterion is the importance of a group of weights (:mod:`dualmode.supernet.granularity`): the mean of their
magnitudes, or of magnitude times input, ranked within a layer or over all layers.  Masks for several sparsities are
nested: a sparser one keeps a subset of what a denser one keeps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dualmode.errors import UserError
from dualmode.supernet.granularity import GRANULARITIES, Blocks, Granularity, wrong_sparsity
from dualmode.supernet.masked_linear import prunable
from dualmode.supernet.ranking import keep_best_of_all

SCOPES = ("layer", "global")
ROUNDING = 1e-9  # 1 - 0.9 is below 0.1 in floating point


def make_granularity(name: str, block: Sequence[int]) -> Granularity:
    """Return the granularity of this name; ``block`` is [rows, columns] of blocks, and [1, m] of n_of_m.

    Raises:
        UserError: there is none of this name, or it has no such block.
    """
    if name not in list(GRANULARITIES):  # a list, since a configuration may hold what cannot be hashed
        raise UserError(f"the granularity is {name!r}: it must be one of {', '.join(GRANULARITIES)}")
    if len(block) != 2 or not all(isinstance(size, int) and size > 0 for size in block):
        raise UserError(f"block is {list(block)}: it must be [rows, columns], both at least 1")
    return GRANULARITIES[name].from_block(block)


@dataclass(frozen=True)
class PruningRule:
    """How masks follow from weights.

    Args:
        sparsities: shares of the weights that each mask prunes, ascending.
        granularity: what lives or dies together.
        scope: "layer" prunes every layer to the same share; "global" compares groups of all layers, by their mean
            importance.
        layer_share: least and largest share of a layer that global scope keeps.
    """

    sparsities: tuple[float, ...]
    granularity: Granularity = Blocks(8, 4)
    scope: str = "layer"
    layer_share: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self):
        if self.scope not in SCOPES:
            raise UserError(f"the scope of the pruning is {self.scope!r}: it must be layer or global")
        low, high = self.layer_share
        if not 0 <= low <= high <= 1:
            raise UserError(f"layer_share is {list(self.layer_share)}: it must be [least, largest], within 0 and 1")
        if self.scope == "global":
            if not self.granularity.global_scope:
                raise UserError(f"a global scope is for blocks and unstructured weights, not for {self.granularity}")
            for sparsity in self.sparsities:
                if not low - ROUNDING <= 1 - sparsity <= high + ROUNDING:
                    raise UserError(
                        f"a sparsity of {sparsity:g} keeps {1 - sparsity:g} of all weights, outside the layer_share of "
                        f"{low:g} to {high:g}"
                    )
        for sparsity in self.sparsities:
            self.granularity.check_sparsity(sparsity)


@dataclass(frozen=True)
class PruningSchedule:
    """When the masks are found anew, and how sparse they are by then.

    The sparsity follows the cubic ramp of Zhu and Gupta (2017), "To prune, or not to prune"; steps are updates::

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
        done = max(step - self.begin, 0) / max(self.end - self.begin, 1)  # one shot has no ramp
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


def check_prunable(module: nn.Module, rule: PruningRule) -> None:
    """Raise UserError if a layer below ``module`` cannot be cut into the rule's groups; names it."""
    for _ in rule.granularity.rankings(module):
        pass


def importances(module: nn.Module) -> dict[str, Tensor]:
    """Return how much every weight (out, in) of every prunable layer below ``module`` counts, by name."""
    return {name: layer.importance() for name, layer in prunable(module)}


@torch.no_grad()
def estimate_masks(module: nn.Module, rule: PruningRule, fraction: float = 1.0) -> Tensor:
    """Write new masks into every prunable layer below ``module``, from its present weights.

    Args:
        module: holds :class:`MaskedLinear` layers with a mask for each of the rule's sparsities.
        rule: what to keep.
        fraction: how far the schedule is, 1 for the full target.

    Returns:
        the share of mask entries that are not what they were, over all masks, ().
    """
    if not rule.sparsities:  # every sub-network has all weights
        return torch.zeros(())
    importance, rankings = importances(module), list(rule.granularity.rankings(module))
    scores = [ranking.scores(importance) for ranking in rankings]
    changed = []
    for level, sparsity in enumerate(rule.sparsities):
        keeps = _keep(rule, scores, sparsity * fraction)
        for number, (ranking, keep) in enumerate(zip(rankings, keeps, strict=True)):
            changed.append(torch.count_nonzero(ranking.kept(level + 1) != keep) * ranking.group_size)
            for name, mask in ranking.masks(keep).items():
                ranking.layers[name].masks[level] = mask
            if rule.scope == "global":  # bounds could otherwise bring back what a denser mask has pruned
                scores[number] = scores[number].masked_fill(~keep, -torch.inf)
    return torch.stack(changed).sum() / sum(layer.masks.numel() for _, layer in prunable(module))


def _keep(rule: PruningRule, scores: Sequence[Tensor], sparsity: float) -> list[Tensor]:
    if rule.scope == "layer":
        return [rule.granularity.keep(values, sparsity) for values in scores]
    share, (low, high) = 1.0 - sparsity, rule.layer_share
    # On the way to the target, a share above the largest is not the rule's business yet.
    return keep_best_of_all(scores, share, (low, max(high, share)))


def check_masks(module: nn.Module, rule: PruningRule) -> None:
    """Check what every mask below ``module`` claims to be.

    Raises:
        UserError: a mask has another sparsity, by more than a group, or cuts through a group, or keeps what a denser
            mask prunes; names the layer.
    """
    rankings = list(rule.granularity.rankings(module))
    for level, sparsity in enumerate(rule.sparsities):
        masks = {name: layer.masks[level].float() for name, layer in prunable(module)}
        kept, total = 0, 0
        for ranking in rankings:
            keep = ranking.scores(masks) > 0.5
            for name, mask in ranking.masks(keep).items():
                layer = ranking.layers[name]
                if not torch.equal(mask, layer.masks[level]):
                    raise UserError(f"the mask of layer {name} is not made of {rule.granularity}")
                if level and (mask & ~layer.masks[level - 1]).any():
                    raise UserError(
                        f"the masks of layer {name} are not nested: a sparser one keeps what a denser prunes"
                    )
            if rule.scope == "layer":
                rule.granularity.check_kept(ranking.name, keep, sparsity)
            kept, total = kept + int(keep.sum()) * ranking.group_size, total + keep.numel() * ranking.group_size
        if rule.scope == "global" and abs(kept - (1 - sparsity) * total) > max(r.group_size for r in rankings):
            raise wrong_sparsity("all layers", kept / total, sparsity)
