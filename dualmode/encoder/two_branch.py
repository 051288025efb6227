"""The idea of the paper in one place: one batch trains two sub-networks of one set of weights.

Liu et al. (2022), "Learning a Dual-Mode Speech Recognition Model via Self-Pruning" (arXiv 2207.11906).  Both trainings,
wav2vec 2.0 pre-training and fine-tuning, are this; they differ in what they ask of a branch's output::

    masks follow the weights            begin_batch, when the schedule says so
    features -> embed -+-> dense,  all weights, full context  -> judge -> share * loss --+
                       |                                                                 +--> loss
                       +-> sparse, kept weights, in chunks    -> judge -> share * loss --+

The sparse sub-network of a training batch is drawn from the sparsities and contexts that the supernet is trained for,
so one model serves them all (Omni-sparsity, arXiv 2110.08352; Dual-mode ASR, Yu et al. 2021).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from dualmode.encoder.apart import cut_off, differentiated
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.errors import UserError
from dualmode.supernet.masked_linear import prunable
from dualmode.supernet.pruning import PruningSchedule, estimate_masks
from dualmode.supernet.subnet import DENSE, Subnet

SCHEDULES = ("both", "alternate")
BACKWARDS = ("joint", "apart")


@dataclass(frozen=True)
class BranchWeights:
    """Weights of the two branches' losses, and when each branch is run.

    Args:
        dense: of the dense full-context branch; 0 does not run it.
        sparse: of the sparse streaming branch; 0 does not run it.
        schedule: "both" branches in every update, or "alternate": dense in one update, sparse in the next, for a little
            more than half the cost of an update; distillation adds a dense pass without gradients to each sparse one.
            An update is then of one branch, whose weight scales its whole gradient: clipping takes that back.
            Validation runs both, but one of weight 0.
        backward: "joint" keeps the activations of both branches until the trainer's backward pass; "apart" takes the
            gradients of the first branch before the second one runs, so that the activations of one branch are in
            memory at a time, and instead of the first branch's its gradients, as large as the weights.
    """

    dense: float = 1.0
    sparse: float = 1.0
    schedule: str = "both"
    backward: str = "joint"

    def __post_init__(self):
        for name, choices in (("schedule", SCHEDULES), ("backward", BACKWARDS)):
            if getattr(self, name) not in choices:
                raise UserError(f"branch_conf: {name} is {getattr(self, name)!r}: it must be {' or '.join(choices)}")
        for name in ("dense", "sparse"):
            share = getattr(self, name)
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < float("inf"):
                raise UserError(f"branch_conf: {name} is {share!r}: it must be a number of 0 or more")
        if self.dense == self.sparse == 0:
            raise UserError("branch_conf: dense and sparse are both 0: one of them must be above 0")
        if self.in_turn and 0 in (self.dense, self.sparse):
            off = "dense" if self.dense == 0 else "sparse"
            raise UserError(
                f"branch_conf: {off} is 0 and schedule is alternate: there is no branch to take turns with; set "
                "schedule: both, which trains the other branch alone"
            )

    @property
    def in_turn(self) -> bool:
        """Whether an update trains one branch."""
        return self.schedule == "alternate"

    def active(self, step: int, training: bool) -> dict[str, float]:
        """Return the weight of each branch that update ``step`` (from 1) runs.

        >>> BranchWeights(schedule="alternate").active(1, True)
        {'dense': 1.0}
        """
        weights = {"dense": self.dense, "sparse": self.sparse}
        if training and self.in_turn:
            weights.pop("sparse" if step % 2 else "dense")
        return {name: weight for name, weight in weights.items() if weight}


@dataclass(frozen=True)
class Branch:
    """What one branch of a batch runs: "dense" or "sparse", as which sub-network, with which share of the loss."""

    name: str
    subnet: Subnet
    share: float


@dataclass(frozen=True)
class Judgement:
    """What a training makes of a branch's output.

    Attributes:
        loss: (), of the branch, without its share.
        stats: values to log, each (); the branch's name is put behind theirs.
        output: what the training wants to look at once both branches have run.
    """

    loss: Tensor
    stats: dict[str, Tensor] = field(default_factory=dict)
    output: Any = None


class TwoBranchModel(nn.Module):
    """Base of the pre-training and the recognition model: an encoder whose masks follow its own weights.

    Counts the updates; the count is part of the checkpoint, so a resumed training goes on with the same schedule of the
    masks and the same turns of the branches.  All batches of an update, of all processes, run the same sub-networks, so
    that an update is the same however its batches are dealt out.

    Args:
        encoder: the supernet.
        schedule: of the masks.
        branches: shares and turns of the branches.
    """

    def __init__(self, encoder: DualModeEncoder, schedule: PruningSchedule, branches: BranchWeights):
        super().__init__()
        self.encoder, self.schedule, self.branches = encoder, schedule, branches
        self.step = 0  # updates, with the one that is being made
        self.seed = 0  # of what all batches of an update draw alike
        self.begins_update = True  # whether the next batch is the first one of an update

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self.step)

    def set_extra_state(self, state: Tensor) -> None:
        self.step = int(state)

    def begin_batch(self) -> dict[str, Tensor]:
        """Call first in every forward pass; does nothing outside training.

        Returns:
            ``mask_change``, the share of mask entries that changed, where masks were found anew; else nothing.
        """
        stats: dict[str, Tensor] = {}
        if not self.training:
            return stats
        if self.begins_update:
            if self.schedule.due(self.step) and (self.step or self._can_be_ranked()):
                fraction = self.schedule.fraction(self.step)
                stats["mask_change"] = estimate_masks(self.encoder, self.encoder.config.pruning, fraction)
            self.step += 1
        # Of the seed and the update alone: the same in all processes, and after a training was resumed.
        self.encoder.draws.manual_seed(self.seed * 1_000_003 + self.step - 1)
        return stats

    def _can_be_ranked(self) -> bool:
        """Return whether the weights that a training starts from say what to prune.

        Fresh ones do not: the last layers of all residual branches are zero
        (:func:`dualmode.encoder.conformer.start_as_identity`).  The masks then keep everything until they are found
        anew.

        Raises:
            UserError: that will never be.
        """
        if all(layer.weight.any() for _, layer in prunable(self.encoder)):
            return True
        if self.schedule.end == 0 and not self.schedule.after:
            raise UserError(
                "pruning_conf: the masks are to be found once, before the first update, from weights that have learnt "
                "nothing: set begin and end to a later update, or start from trained weights"
            )
        return False

    def draw_branches(self) -> list[Branch]:
        """Return the branches of this batch; the sparse one is drawn in training, and the usual one in validation.

        It is drawn in batches that do not run it as well, so that which one an update draws does not depend on which
        branches are run.  (What drops out does: blocks and dropout are drawn as the branches run.)
        """
        config = self.encoder.config
        subnets = {
            "dense": DENSE,
            "sparse": config.sample_subnet(self.encoder.draws) if self.training else config.default_subnet(),
        }
        active = self.branches.active(self.step, self.training)
        return [Branch(name, subnets[name], share) for name, share in active.items()]

    def run_branches(
        self, x: Tensor, lengths: Tensor, judge: Callable[[Branch, Tensor, Any], Judgement], shared: Any = None
    ) -> tuple[Tensor, dict[str, Any], dict[str, Tensor]]:
        """Run every branch of this batch over the same embedded features, and add up what their outputs cost.

        Args:
            x: (batch, frames of 40 ms, d), as ``encoder.embed`` gives it.
            lengths: (batch,), real frames.
            judge: makes a :class:`Judgement` of a branch, its output (batch, frames, d) and ``shared``.
            shared: all else that the losses of both branches depend on and that has a gradient: a tensor, a dataclass
                or tuple of tensors, or None.

        Returns:
            the sum of the branches' losses times their shares, (); their outputs, by the branches' names; and their
            stats, ``loss`` among them, as ``loss_dense`` and ``loss_sparse``.
        """
        loss = x.new_zeros((), dtype=torch.float32)
        outputs: dict[str, Any] = {}
        stats: dict[str, Tensor] = {}
        branches = self.draw_branches()
        apart = self.branches.backward == "apart" and torch.is_grad_enabled()
        for branch in branches:
            if apart and branch is not branches[-1]:
                judgement, share = self._run_apart(branch, x, lengths, judge, shared)
            else:
                judgement = judge(branch, self.encoder.encode(x, lengths, branch.subnet), shared)
                share = branch.share * judgement.loss
            loss = loss + share
            outputs[branch.name] = judgement.output
            values = {"loss": judgement.loss, **judgement.stats}
            stats.update((f"{what}_{branch.name}", value.detach()) for what, value in values.items())
        return loss, outputs, stats | self.settled()

    def _run_apart(
        self, branch: Branch, x: Tensor, lengths: Tensor, judge: Callable[[Branch, Tensor, Any], Judgement], shared: Any
    ) -> tuple[Judgement, Tensor]:
        """Run one branch and take its gradients at once; return what became of it, and its share of the loss."""
        cuts: list[tuple[Tensor, Tensor]] = []
        x, shared = cut_off((x, shared), cuts)
        judgement = judge(branch, self.encoder.encode(x, lengths, branch.subnet), shared)
        share = differentiated(branch.share * judgement.loss, cuts, self.parameters())
        return cut_off(judgement), share

    def settled(self) -> dict[str, Tensor]:
        """Return what validation says about the masks: ``masks_settled``, 0 before and on their ramp and 1 behind it.

        Nothing in training, and where the masks follow no schedule, or none is pruned.
        """
        if self.training or not self.schedule.interval or not self.encoder.config.masked:
            return {}
        settled = self.step > 0 and self.schedule.fraction(self.step - 1) >= 1.0  # as the last update had it
        # A schedule that starts at the full sparsity has pruned nothing until its first estimate.
        settled = settled and any(not layer.masks.all() for _, layer in prunable(self.encoder))
        return {"masks_settled": self.encoder.normalize.mean.new_tensor(float(settled))}
