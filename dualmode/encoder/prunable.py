"""Which weights the supernet's sub-networks keep: the part of ``encoder_conf`` that masks follow from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from dualmode.encoder.draws import WHERE, as_tuple, draw
from dualmode.errors import UserError
from dualmode.supernet.pruning import PruningRule, make_granularity
from dualmode.supernet.view import View

IMPORTANCES = ("magnitude", "activations")


@dataclass(frozen=True)
class PruningPart:
    """Sparsities and what is pruned together.

    Args:
        sparsities: those of the streaming branch, ascending: targets of the masks, as shares of pruned weights of the
            blocks' Linear layers.  0 among them trains the streaming branch with all weights too; [0] alone prunes
            nothing.  The dense branch is always there and needs no entry.
        granularity: what is pruned together: "blocks", "unstructured" (single weights), "n_of_m", or "units" (hidden
            units, heads and channels).  By default units, or blocks where ``block`` is given.
        block: rows (outputs) x columns (inputs) of blocks, by default 8x4; [1, m] of n_of_m.
        scope: "layer" prunes every layer to the same share; "global" lets all layers compete.
        layer_share: least and largest share of a layer that global scope keeps.
        importance: "magnitude" ranks by the weights alone; "activations" times the norms of their inputs, which
            ``dualmode prune --calibrate`` measures and the model keeps beside its masks.  It is set there.
    """

    sparsities: Sequence[float] = (0.7,)
    granularity: str | None = None
    block: Sequence[int] | None = None
    scope: str = "layer"
    layer_share: Sequence[float] = (0.0, 1.0)
    importance: str = "magnitude"

    def check_pruning(self) -> None:
        """Raise UserError for the first setting that is impossible, named."""
        if self.granularity is None:
            object.__setattr__(self, "granularity", "units" if self.block is None else "blocks")
        if self.block is None:
            object.__setattr__(self, "block", (8, 4))
        for name in ("sparsities", "block", "layer_share"):
            object.__setattr__(self, name, as_tuple(name, getattr(self, name)))
        if len(self.layer_share) != 2:
            raise UserError(f"{WHERE}: layer_share is {list(self.layer_share)}: it must be [lowest, highest]")
        if self.importance not in IMPORTANCES:
            raise UserError(f"{WHERE}: importance is {self.importance!r}: it must be {' or '.join(IMPORTANCES)}")
        if list(self.sparsities) != sorted(set(self.sparsities)) or not all(0 <= s < 1 for s in self.sparsities):
            raise UserError(
                f"{WHERE}: sparsities is {list(self.sparsities)}: it must ascend strictly, from 0 to below 1 "
                "(the dense sub-network, sparsity 0, is always there)"
            )
        try:
            self.pruning  # builds the rule, which checks it  # noqa: B018
        except UserError as error:
            raise UserError(f"{WHERE}: {error}") from None

    @property
    def masked(self) -> tuple[float, ...]:
        """The sparsities above 0, ascending: those that have a mask."""
        return tuple(sparsity for sparsity in self.sparsities if sparsity)

    @property
    def pruning(self) -> PruningRule:
        """What the masks are made by."""
        low, high = self.layer_share
        granularity = make_granularity(self.granularity, self.block)
        return PruningRule(self.masked, granularity, self.scope, (low, high))

    def level(self, sparsity: float) -> int:
        """Return the index that :class:`MaskedLinear` knows ``sparsity`` by.

        Raises:
            UserError: the supernet holds no mask for this sparsity.
        """
        if sparsity == 0.0:
            return 0
        if sparsity not in self.masked:
            have = ", ".join(["0 (dense)", *(f"{s:g}" for s in self.masked)])
            raise UserError(f"this supernet has no sub-network of sparsity {sparsity:g}; it has {have}")
        return self.masked.index(sparsity) + 1

    def view(self, sparsity: float) -> View:
        """Return which weights the sub-network of this sparsity uses; one that is not there is a UserError."""
        return View(self.level(sparsity), self.pruning.granularity.leaves_smaller_model)

    @property
    def usual_sparsity(self) -> float:
        """The sparsity of validation, and of the sub-network that users call sparse: the first one above 0, if any."""
        return (self.masked or self.sparsities)[0]

    def sample_sparsity(self, generator: torch.Generator | None = None) -> float:
        """Draw a sparsity by torch's generator or another.

        The highest is drawn for every other batch, and each of the others equally likely for the rest: with the dense
        branch, which every update trains, or every other one, the two ends of the range are trained most (the sandwich
        rule of Yu and Huang 2019, spread over batches).
        """
        *others, highest = self.sparsities
        return draw(others, generator) if others and torch.rand((), generator=generator).item() < 0.5 else highest


def with_rule(trained: Mapping, rule: Mapping) -> dict:
    """Return the ``encoder_conf`` of a trained model with what stage 3's YAML says instead of its own.

    >>> with_rule({"granularity": "units", "block": [8, 4]}, {"block": [4, 4]})  # blocks that are named are pruned
    {'block': [4, 4]}
    """
    kept = dict(trained)
    if rule.get("block") and "granularity" not in rule and kept.get("granularity") == "units":
        del kept["granularity"]
    return {**kept, **rule}
