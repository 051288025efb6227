"""Do a training's schedules fit into its length, and its losses to its branches?  What never comes is said before."""

import argparse
from collections.abc import Mapping

from dualmode.asr.config import AsrConfig
from dualmode.encoder.two_branch import BranchWeights
from dualmode.errors import UserError
from dualmode.supernet.pruning import PruningSchedule


def length(args: argparse.Namespace) -> int | None:
    """Return the updates of a whole training; None where an epoch is the training set, whose size is not known."""
    an_epoch = args.updates_per_epoch or (args.num_iters_per_epoch or 0) // max(args.accum_grad, 1)
    return args.max_epoch * an_epoch if an_epoch else None


def check_cycle(args: argparse.Namespace) -> None:
    """Raise UserError unless the cycle of a onecyclelr is as long as the training."""
    if args.scheduler != "onecyclelr":
        return
    if not (args.num_iters_per_epoch or args.updates_per_epoch):
        raise UserError(
            "onecyclelr needs updates_per_epoch or num_iters_per_epoch in the YAML: the cycle's length follows from it"
        )
    for name in ("epochs", "steps_per_epoch"):
        if name in args.scheduler_conf:
            raise UserError(
                f"scheduler_conf has {name}, which does nothing: leave it out, and the cycle is as long as the training"
            )
    # Past its end it has no learning rate, and a longer one is never over.
    updates, steps = length(args), args.scheduler_conf.get("total_steps")
    # Of a reference_batch_h, the batches of an update follow from the number of GPUs.
    known = args.reference_batch_h is None or args.updates_per_epoch
    if known and updates and steps not in (None, updates):
        raise UserError(
            f"scheduler_conf: total_steps is {steps}, and the training has {updates} updates: leave it out, and the "
            "cycle is as long as the training"
        )


def mask_warnings(updates: int, schedule: PruningSchedule) -> list[str]:
    """Return a sentence if the masks do not come to their full sparsity, or are never found.

    >>> mask_warnings(60, PruningSchedule(begin=0, end=100, interval=10))
    ['the masks reach their full sparsity at update 100 (pruning_conf: end), and the training has 60 updates']
    >>> mask_warnings(60, PruningSchedule(begin=60, end=100, interval=10, start=1.0))
    ['the masks are found for the first time at update 60 (pruning_conf: begin), and the training has 60 updates']
    """
    if schedule.interval and updates <= schedule.begin:
        begin = f"at update {schedule.begin} (pruning_conf: begin)"
        return [f"the masks are found for the first time {begin}, and the training has {updates} updates"]
    if schedule.interval and schedule.fraction(updates - 1) < 1:
        end = f"at update {schedule.end} (pruning_conf: end)"
        return [f"the masks reach their full sparsity {end}, and the training has {updates} updates"]
    return []


def interval_warnings(conf: Mapping) -> list[str]:
    """Return a sentence if ``pruning_conf`` says when masks are found and not how often, which is never.

    >>> interval_warnings({"end": 1000})
    ['pruning_conf has end and no interval, so that masks are never found in this training: set interval']
    >>> interval_warnings({"end": 1000, "interval": 0})
    []
    """
    if not conf or "interval" in conf:
        return []
    given = ", ".join(conf)
    return [f"pruning_conf has {given} and no interval, so that masks are never found in this training: set interval"]


def loss_warnings(updates: int, config: AsrConfig) -> list[str]:
    """Return a sentence for each loss that never begins.

    >>> loss_warnings(60, AsrConfig(distill_weight=0.1, distill_after=60))[0].partition(", ")[2]
    'and the training has 60 updates: it never begins'
    """
    found = []
    if config.distils and config.distill_after >= updates:
        when = f"after update {config.distill_after} (model_conf: distill_after)"
        found.append(f"distillation begins {when}, and the training has {updates} updates: it never begins")
    if config.flat_start > updates:
        when = f"at update {config.flat_start} (model_conf: flat_start)"
        found.append(f"the CTC loss has its full weight {when}, and the training has {updates} updates")
    if config.transducer is not None and config.transducer.warmup > updates:
        when = f"at update {config.transducer.warmup} (model_conf: transducer: warmup)"
        found.append(f"the RNN-T loss has its full weight {when}, and the training has {updates} updates")
    return found


def branch_warnings(config: AsrConfig, branches: BranchWeights) -> list[str]:
    """Return a sentence if one branch is to teach the other, and there is no other.

    >>> branch_warnings(AsrConfig(distill_weight=0.1), BranchWeights(dense=0))
    ['distillation (distill_weight) needs both branches, and branch_conf has dense: 0: there is none']
    """
    missing = [name for name in ("dense", "sparse") if not getattr(branches, name)]
    if missing and config.distils:
        return [
            f"distillation (distill_weight) needs both branches, and branch_conf has {missing[0]}: 0: there is none"
        ]
    return []


def turn_warnings(branches: BranchWeights, grad_clip: float) -> list[str]:
    """Return a sentence if branches that take turns have weights that clipping takes back.

    >>> turn_warnings(BranchWeights(sparse=2.0, schedule="alternate"), 5.0)[0].partition(": ")[0]
    'branch_conf has dense 1, sparse 2 and schedule alternate'
    """
    if not branches.in_turn or branches.dense == branches.sparse or grad_clip <= 0:
        return []
    return [
        f"branch_conf has dense {branches.dense:g}, sparse {branches.sparse:g} and schedule alternate: an update of "
        f"one branch that is clipped (grad_clip {grad_clip:g}) is the same whatever its weight is: set both to 1"
    ]
