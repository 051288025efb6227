"""How many batches make an update, and an epoch, whatever the number of GPUs."""

import argparse
from dataclasses import dataclass

from espnet2.samplers.build_batch_sampler import CATEGORY_BATCH_TYPES
from espnet2.train.distributed_utils import get_world_size

from dualmode.errors import UserError
from dualmode.tasks.alone import is_first

FRAMES_PER_HOUR = 360_000  # feature frames of 10 ms
MUCH = 1.1  # times the reference, from which on a training is not the one that was planned


@dataclass(frozen=True)
class UpdatePlan:
    """What an update is made of.

    Attributes:
        gpus: of all machines together; 1 for a CPU.
        bins: feature frames of 10 ms that one GPU takes at once, padding counted.
        accum_grad: batches of each GPU whose gradients are added up.
        reference_h: hours of audio an update that the learning rate was chosen for.
    """

    gpus: int
    bins: int
    accum_grad: int
    reference_h: float

    @property
    def batch_bins(self) -> int:
        """Feature frames that all GPUs take at once; ESPnet shares them among the GPUs."""
        return self.bins * self.gpus

    @property
    def hours(self) -> float:
        """Hours of audio an update."""
        return self.batch_bins * self.accum_grad / FRAMES_PER_HOUR

    @property
    def warning(self) -> str | None:
        """Return by how much an update exceeds the reference, and what to do; None where it does not.

        >>> plan_update(gpus=64, bins=72000, reference_h=1.6).warning[:77]
        'an update is 12.8 h of audio, 8 times reference_batch_h (1.6): lower batch_bi'
        """
        times = self.hours / self.reference_h
        if times <= MUCH:
            return None
        fitting = int(self.reference_h * FRAMES_PER_HOUR / (self.gpus * self.accum_grad))
        return (
            f"an update is {self.hours:.3g} h of audio, {times:.3g} times reference_batch_h ({self.reference_h:g}): "
            f"lower batch_bins to {fitting}, train on fewer GPUs, or choose a learning rate for larger updates and say "
            "so by reference_batch_h"
        )


def plan_update(gpus: int, bins: int, reference_h: float) -> UpdatePlan:
    """Return the plan whose updates see about ``reference_h`` hours of audio.

    wav2vec 2.0's 1.6 h, with 160 s (16000 frames) on a GPU at once:

    >>> [plan_update(gpus, 16000, 1.6).accum_grad for gpus in (1, 8, 64)]
    [36, 4, 1]

    Args:
        gpus: of all machines together; 1 for a CPU.
        bins: feature frames of 10 ms that one GPU takes at once.
        reference_h: hours of audio an update, padding counted.

    Raises:
        UserError: a value is not above 0.
    """
    if not (reference_h > 0 and bins > 0):
        raise UserError(f"reference_batch_h is {reference_h:g} and batch_bins {bins}: both must be above 0")
    accum_grad = max(1, round(reference_h * FRAMES_PER_HOUR / (bins * gpus)))
    return UpdatePlan(gpus, bins, accum_grad, reference_h)


def check_batch_type(args: argparse.Namespace) -> None:
    """Raise UserError for a way of making batches that has not got what it needs here."""
    for name in ("batch_type", "valid_batch_type"):
        kind = getattr(args, name) or args.batch_type
        if kind in CATEGORY_BATCH_TYPES:
            raise UserError(f"{name} is {kind}, which needs categories of utterances, and there are none: say length")
        if kind == "folded" and len(args.fold_length) != 1:
            raise UserError(
                f"{name} is folded, ESPnet's default, which needs one fold_length and has {args.fold_length}: say "
                "length, and batch_bins"
            )


def check_batch(args: argparse.Namespace) -> None:
    """Raise UserError for what :func:`complete_batch` could not complete, whatever the machine."""
    if args.reference_batch_h is not None:
        if args.batch_type != "length":
            raise UserError(f"reference_batch_h needs batch_type length, not {args.batch_type}: it counts batch_bins")
        plan_update(1, args.batch_bins, args.reference_batch_h)
    if args.updates_per_epoch is not None:
        if args.num_iters_per_epoch is not None:
            raise UserError("updates_per_epoch and num_iters_per_epoch both say how long an epoch is: give one of them")
        if args.updates_per_epoch < 1:
            raise UserError(f"updates_per_epoch is {args.updates_per_epoch}: it must be at least 1")
    if args.checkpoint_every is not None and args.checkpoint_every < 1:
        raise UserError(f"checkpoint_every is {args.checkpoint_every}: it must be at least 1 batch")
    if args.checkpoint_minutes is not None and not args.checkpoint_minutes > 0:
        raise UserError(f"checkpoint_minutes is {args.checkpoint_minutes:g}: it must be above 0")
    if args.window_h is not None and not args.window_h > 0:
        raise UserError(f"window_h is {args.window_h:g}: it must be above 0")


def complete_batch(args: argparse.Namespace) -> None:
    """Complete what counts batches by what counts updates; config.yaml holds the outcome::

        reference_batch_h    ->  accum_grad, and batch_bins of all GPUs together, as ESPnet counts them
        updates_per_epoch    ->  num_iters_per_epoch = updates_per_epoch * accum_grad
        checkpoint_every     ->  whole updates

    Raises:
        UserError: an impossible value, or an epoch of less than one update.
    """
    check_batch(args)
    if args.reference_batch_h is not None:
        gpus = get_world_size(args.dist_world_size, args.dist_launcher) if args.distributed else max(args.ngpu, 1)
        plan = plan_update(gpus, args.batch_bins, args.reference_batch_h)
        args.batch_bins, args.accum_grad = plan.batch_bins, plan.accum_grad
        if is_first(args):
            where = f"{gpus} GPUs" if args.ngpu else "1 CPU"
            parts = f"{where} x {plan.bins / 100:g} s of audio x accum_grad {plan.accum_grad}"
            print(f"an update: {parts} = {plan.hours:.3g} h (reference_batch_h {plan.reference_h:g})", flush=True)
            if plan.warning is not None:
                print(f"warning: {plan.warning}", flush=True)
        args.reference_batch_h = None
    if args.updates_per_epoch is not None:
        args.num_iters_per_epoch = args.updates_per_epoch * args.accum_grad
        args.updates_per_epoch = None
    if args.num_iters_per_epoch and args.num_iters_per_epoch < args.accum_grad:
        raise UserError(
            f"an epoch has {args.num_iters_per_epoch} batches and an update {args.accum_grad} (accum_grad): "
            "raise num_iters_per_epoch"
        )
    if args.checkpoint_every is not None:
        args.checkpoint_every = -(-args.checkpoint_every // args.accum_grad) * args.accum_grad
