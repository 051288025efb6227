"""What a run does besides learning, moment by moment.

ESPnet's loop calls :class:`dualmode.tasks.trainer.SupernetTrainer`, which hands each moment on to a :class:`RunState`::

    going on after a kill   at_resume     writes what the kill cut off behind checkpoint.pth
    each epoch              before_epoch  zeroes gradients; in a run's first epoch takes up checkpoint_step.pth
      each batch            before_batch  gradients are exchanged in the last one of an update
                            (ESPnet)      forward, backward; every accum_grad batches an update: clip, optimizer,
                                          scheduler, gradients to zero
                            after_batch   progress; the watch, which may end the run; checkpoint_step.pth, where
                                          checkpoint_due; after an update, where told to stop, at_stop
                            after_phase   a line "train" in history.jsonl and on the terminal
      validation            (ESPnet)
                            after_phase   a line "valid" in both
      end of the epoch      (ESPnet)      checkpoint.pth, then Nepoch.pth, latest.pth and the links to the best epochs
    told to stop            at_stop       writes checkpoint_step.pth and exits with status 75, to be queued again
    end of the last epoch   (ESPnet)      mean of the best epochs
                            at_end        removes checkpoint_step.pth

At a failure (an error, the alarm, a kill) nothing more is written: every checkpoint on disk is whole, and the next run
goes on from the last one, checkpoint_step.pth where it is of the epoch after checkpoint.pth.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from espnet2.train.distributed_utils import DistributedOption
from espnet2.train.reporter import Reporter, SubReporter, aggregate
from espnet2.train.trainer import TrainerOptions
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from dualmode.cluster.task import REQUEUE
from dualmode.progress import Progress
from dualmode.tasks import history, step_checkpoint
from dualmode.tasks.agreement import check_agreement
from dualmode.tasks.finish_epoch import finish_epoch
from dualmode.tasks.preemption import Preemption
from dualmode.tasks.watched import Watched


@dataclass
class SupernetOptions(TrainerOptions):
    """ESPnet's options, and the batches between two checkpoints inside an epoch; None writes none."""

    checkpoint_every: int | None


class RunState:
    """All that one run of a training remembers, in one of its processes.

    Args:
        options: of the training.
        distributed: which process this is, of how many.
        preemption: knows whether a process has been told to stop.
        watch: called with the reporter after each batch; may raise UserError to end the run.
    """

    def __init__(
        self,
        options: SupernetOptions,
        distributed: DistributedOption,
        preemption: Preemption,
        watch: Callable[[SubReporter], None] | None = None,
    ):
        self.options, self.preemption, self.watch = options, preemption, watch
        self.folder = Path(options.output_dir)
        self.criteria = options.best_model_criterion  # (phase, key, "min" or "max") of the best epochs
        self.rank: int = distributed.dist_rank if distributed.distributed else 0
        self.ranks: int = distributed.dist_world_size if distributed.distributed else 1
        self.keeps_files = self.rank == 0  # of several processes, the first one
        self.progress: Progress | None = None  # over all epochs; None until the first one begins
        self.running: step_checkpoint.Running | None = None  # the parts that change, of the epoch that runs
        self.batches = 0  # of the epoch that runs
        self.parallel: DistributedDataParallel | None = None

    def at_resume(self, weights: Mapping[str, Tensor], reporter: Reporter) -> None:
        """Complete the last epoch of checkpoint.pth, which has just been loaded."""
        if self.keeps_files:
            finish_epoch(self.folder, weights, reporter, self.criteria)

    def before_epoch(
        self, running: step_checkpoint.Running, batches: DataLoader, parallel: DistributedDataParallel | None = None
    ) -> Watched:
        """Return the batches that are left of the epoch; restores ``running`` where some of them are done.

        Args:
            running: the parts that change.
            batches: of the whole epoch.
            parallel: what exchanges gradients between processes, if there are several.

        Raises:
            UserError: the processes do not hold the same model.
        """
        self.running, self.batches, self.parallel = running, len(batches), parallel
        epoch, state = running.reporter.get_epoch(), None
        # Gradients of an unfinished accumulation are not in a checkpoint, so no epoch begins with any.
        for optimizer in running.optimizers:
            optimizer.zero_grad()
        if self.progress is None:
            if self.options.resume:
                state = step_checkpoint.load(self.folder, epoch, self.batches, self.ranks)
            done = (epoch - 1) * self.batches + (state["batches"] if state else 0)
            self.progress = Progress(self.options.max_epoch * self.batches, "training", done=done)
        done, random_states = 0, None
        if state is not None:
            running.restore(state)
            print(f"going on after batch {state['batches']}/{self.batches} of epoch {epoch}", flush=True)
            done, random_states = state["batches"], state["random"][self.rank]
        if parallel is not None:
            check_agreement(running.model, parallel.device)
        return Watched(batches, self.after_batch, done, random_states, self.before_batch)

    def before_batch(self, number: int) -> None:
        """Say where batch ``number`` (from 1) is in its update: masks change before one, gradients meet at its end."""
        model = self.running.model
        model.accumulated = self.options.accum_grad
        model.begins_update = (number - 1) % self.options.accum_grad == 0
        if self.parallel is not None:
            self.parallel.require_backward_grad_sync = number % self.options.accum_grad == 0

    def after_batch(self, number: int) -> None:
        """Do what is due after batch ``number`` (from 1) of the epoch.

        Raises:
            UserError: the watch ends the run.
            SystemExit: the run was told to stop.
        """
        reporter = self.running.reporter
        losses = reporter.stats.get("loss")
        self.progress.advance(note=f"loss {aggregate(losses[-20:]):.3f}" if losses else "")
        if self.watch is not None:
            self.watch(reporter)
        if self.checkpoint_due(number):
            self.save(number)
        if self.may_stop(number) and self.preemption.agreed():
            self.at_stop(number)

    def checkpoint_due(self, number: int) -> bool:
        """Return whether a checkpoint follows batch ``number``; after the last batch comes the epoch's own one."""
        every = self.options.checkpoint_every
        return bool(every) and number % every == 0 and number < self.batches

    def may_stop(self, number: int) -> bool:
        """Return whether batch ``number`` ended an update; after the last batch, the epoch's checkpoint comes first."""
        return number % self.options.accum_grad == 0 and number < self.batches

    def save(self, number: int) -> None:
        """Write checkpoint_step.pth after batch ``number``; all processes take part, the first one writes."""
        step_checkpoint.save(self.folder, self.running, number, self.batches, self.rank, self.ranks)

    def at_stop(self, number: int) -> NoReturn:
        """Save batch ``number`` and leave."""
        self.save(number)
        if self.keeps_files:
            epoch = self.running.reporter.get_epoch()
            print(f"told to stop: batch {number}/{self.batches} of epoch {epoch} is saved, to go on from", flush=True)
        raise SystemExit(REQUEUE)

    def after_phase(self, phase: str, reporter: SubReporter) -> None:
        """Note the means of an epoch's "train" or "valid"."""
        if self.keeps_files:
            history.record(self.folder, phase, reporter, self.options.max_epoch)

    def at_end(self) -> None:
        """Remove the checkpoint inside an epoch, for all epochs are finished."""
        (self.folder / step_checkpoint.NAME).unlink(missing_ok=True)
