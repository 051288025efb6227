"""What a run does besides learning, moment by moment.

ESPnet's loop calls :class:`dualmode.tasks.trainer.SupernetTrainer`, which hands each moment on to a :class:`RunState`::

    going on after a kill   at_resume     writes what the kill cut off behind checkpoint.pth
    each epoch              before_epoch  zeroes gradients; in a run's first epoch takes up checkpoint_step.pth, and
                                          tries the largest batches; in others removes it, and looks whether epochs can
                                          be ranked
      each update           votes         what this process wants: to stop, to write a checkpoint
                            (Updater)     accum_grad batches: forward, backward; divide, clip, optimizer, scheduler
                            after_update  report, progress; the watch, which may end the run; checkpoint_step.pth, where
                                          one is due; where told to stop, at_stop
                            after_phase   a line "train" in history.jsonl and on the terminal
      validation            (ESPnet)
        each batch          until_told    where told to stop, saves the epoch's updates and exits, too
                            after_phase   a line "valid" in both
      end of the epoch      (ESPnet)      checkpoint.pth, then Nepoch.pth, latest.pth and the links to the best epochs
    told to stop            at_stop       writes checkpoint_step.pth and exits with status 75, to be queued again
    end of the last epoch   (ESPnet)      mean of the best epochs
                            at_end        removes checkpoint_step.pth; looks whether epochs could be ranked

At a failure (an error, the alarm, a kill) nothing more is written: every checkpoint on disk is whole, and the next run
goes on from the last one, checkpoint_step.pth where it is of the epoch after checkpoint.pth.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import torch
from espnet2.schedulers.abs_scheduler import AbsValEpochStepScheduler
from espnet2.train.distributed_utils import DistributedOption
from espnet2.train.reporter import Reporter, SubReporter, aggregate
from espnet2.train.trainer import TrainerOptions
from torch import Tensor
from torch.utils.data import DataLoader

from dualmode.cluster.task import REQUEUE
from dualmode.errors import UserError
from dualmode.models.weights import STEP_STATE
from dualmode.progress import Progress
from dualmode.tasks import history, step_checkpoint
from dualmode.tasks.agreement import check_agreement
from dualmode.tasks.dry_step import Frames, dry_step, frames_of
from dualmode.tasks.finish_epoch import finish_epoch
from dualmode.tasks.preemption import Preemption
from dualmode.tasks.tally import Totals
from dualmode.tasks.windowed import WindowedBatches


@dataclass
class SupernetOptions(TrainerOptions):
    """ESPnet's options, and ours.

    Args:
        checkpoint_every: batches between two checkpoints inside an epoch, whole updates; None writes none.
        checkpoint_minutes: minutes between two checkpoints inside an epoch; None writes none.
        dry_step: whether the largest batches are tried before the first update; None tries them on a GPU.
        batch_bins: feature frames of a batch, for messages.
        train_shape_file: the first one has the feature frames of each utterance.
    """

    checkpoint_every: int | None
    checkpoint_minutes: float | None
    dry_step: bool | None
    batch_bins: int
    train_shape_file: Sequence[str]


class RunState:
    """All that one run of a training remembers, in one of its processes.

    Args:
        options: of the training.
        distributed: which process this is, of how many.
        preemption: knows whether this process has been told to stop.
        watch: called with the reporter after each update; may raise UserError to end the run.
        clock: of the checkpoints by minutes, in seconds.
    """

    def __init__(
        self,
        options: SupernetOptions,
        distributed: DistributedOption,
        preemption: Preemption,
        watch: Callable[[SubReporter], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.options, self.preemption, self.watch, self.clock = options, preemption, watch, clock
        self.folder = Path(options.output_dir)
        self.criteria = options.best_model_criterion  # (phase, key, "min" or "max") of the best epochs
        self.rank: int = distributed.dist_rank if distributed.distributed else 0
        self.ranks: int = distributed.dist_world_size if distributed.distributed else 1
        self.keeps_files = self.rank == 0  # of several processes, the first one
        self.progress: Progress | None = None  # over all epochs; None until the first one begins
        self.running: step_checkpoint.Running | None = None  # the parts that change, of the epoch that runs
        self.device = torch.device("cpu")  # on which the processes exchange numbers
        self.batches = self.updates = 0  # of the epoch that runs
        self.saved_at = clock()  # the last checkpoint
        self.skipped = 0  # updates
        self.measured: set[tuple[str, str]] = set()  # (phase, key) that were reported so far

    def at_resume(self, weights: Mapping[str, Tensor], reporter: Reporter) -> None:
        """Complete the last epoch of checkpoint.pth, which has just been loaded; where patience had ended, end."""
        if self.keeps_files:
            finish_epoch(self.folder, weights, reporter, self.criteria)
        patience = self.options.patience
        if patience is not None and reporter.check_early_stopping(patience, *self.options.early_stopping_criterion):
            self.options.max_epoch = reporter.get_epoch()
            if self.keeps_files:
                print(f"the training had ended after epoch {reporter.get_epoch()} (patience {patience})", flush=True)

    def before_epoch(
        self, running: step_checkpoint.Running, batches: DataLoader, device: torch.device
    ) -> tuple[int, Iterator]:
        """Return the updates that are done of the epoch, and the batches that are left of it.

        Restores ``running`` where some are done.  Batches at the end that are too few for an update are not read.

        Args:
            running: the parts that change.
            batches: of the whole epoch.
            device: on which the processes exchange numbers.

        Raises:
            UserError: an epoch is less than an update, nothing that ranks epochs was measured in the one before, the
                processes do not hold the same model, or a batch does not fit into the GPU's memory.
        """
        self.check_criteria()
        self.running, self.device, self.batches = running, device, len(batches)
        self.updates = self.batches // self.options.accum_grad
        if not self.updates:
            raise UserError(
                f"an epoch has {self.batches} batches and an update {self.options.accum_grad} (accum_grad): lower "
                "batch_bins or accum_grad, or say by updates_per_epoch how long an epoch is"
            )
        epoch, state = running.reporter.get_epoch(), None
        # Gradients of an unfinished accumulation are not in a checkpoint, so no epoch begins with any.
        for optimizer in running.optimizers:
            optimizer.zero_grad()
        first = self.progress is None
        if not first and self.keeps_files:  # its epoch is in checkpoint.pth, or it is another training's
            (self.folder / STEP_STATE).unlink(missing_ok=True)
        if first:
            if self.options.resume:
                state = step_checkpoint.load(self.folder, epoch, self.batches, self.ranks, self.options.accum_grad)
            done = (epoch - 1) * self.updates + (state["batches"] // self.options.accum_grad if state else 0)
            self.progress = Progress(self.options.max_epoch * self.updates, "training, updates", done=done)
        done, random_states = 0, None
        if state is not None:
            running.restore(state)
            done, random_states = state["batches"] // self.options.accum_grad, state["random"][self.rank]
            if self.keeps_files:
                print(f"going on after update {done}/{self.updates} of epoch {epoch}", flush=True)
        if self.ranks > 1:
            check_agreement(running.model, device, self.batches)
        if first:
            self.try_largest(running, batches, device)
        self.saved_at = self.clock()
        return done, step_checkpoint.rest_of(batches, done * self.options.accum_grad, random_states)

    def try_largest(self, running: step_checkpoint.Running, batches: DataLoader, device: torch.device) -> None:
        """Make a dry step on the largest batches, where the options or a GPU ask for it."""
        options, wanted = self.options, self.options.dry_step
        if wanted or (wanted is None and device.type == "cuda"):
            sampler = batches.batch_sampler
            frames: Frames
            if isinstance(sampler, WindowedBatches):
                frames = sampler.windows.frames
            else:
                frames = frames_of(Path(options.train_shape_file[0]))
            said = dry_step(
                running.model, running.optimizers[0], batches, frames, device, options.batch_bins, running.scaler,
                options.accum_grad,
            )  # fmt: skip
            logging.info(said)
            if self.keeps_files:
                print(said, flush=True)

    def votes(self) -> tuple[bool, bool]:
        """Return whether this process wants to stop, and to write a checkpoint by the clock; the first one has it."""
        minutes = self.options.checkpoint_minutes
        due = minutes is not None and self.clock() - self.saved_at >= 60 * minutes
        return self.preemption.told, due and self.keeps_files

    def after_update(self, number: int, totals: Totals, skipped: str | None, values: Mapping[str, float]) -> None:
        """Do what is due after update ``number`` (from 1) of the epoch.

        Args:
            number: of the update.
            totals: what it was made of.
            skipped: why it was not made, or None.
            values: what is reported besides, without a weight.

        Raises:
            UserError: the watch ends the run.
            SystemExit: the run was told to stop.
        """
        reporter = self.running.reporter
        if skipped is not None:
            self.say_skipped(number, skipped)
        else:
            reporter.register(totals.stats, totals.weight)
            reporter.register({"audio_h": totals.audio_h, "grad_norm": totals.grad_norm, **values})
            reporter.next()
        losses = reporter.stats.get("loss")
        if self.keeps_files:
            self.progress.advance(note=f"loss {aggregate(losses[-20:]):.3f}" if losses else "")
        if self.watch is not None and skipped is None:
            self.watch(reporter)
        told, due = totals.votes
        last = number == self.updates  # after which come validation and the epoch's own checkpoint
        if told:
            self.at_stop(number)
        if (due or self.checkpoint_due(number)) and not last:
            self.save(number)

    def say_skipped(self, number: int, why: str) -> None:
        """Count and log an update that was not made."""
        self.skipped += 1
        sentence = f"update {number} of epoch {self.running.reporter.get_epoch()} is skipped, the {self.skipped}. of "
        sentence += f"this run: {why}"
        logging.warning(sentence)
        if self.keeps_files:
            print(sentence, flush=True)

    def checkpoint_due(self, number: int) -> bool:
        """Return whether a checkpoint follows update ``number`` by its number."""
        every = self.options.checkpoint_every
        return bool(every) and number * self.options.accum_grad % every == 0

    def save(self, number: int, states: dict | None = None) -> None:
        """Write checkpoint_step.pth after update ``number``; all processes take part, the first one writes.

        Args:
            number: of the update.
            states: random states after it; None is now.
        """
        done = number * self.options.accum_grad
        step_checkpoint.save(self.folder, self.running, done, self.batches, self.rank, self.ranks, states)
        self.saved_at = self.clock()

    def until_told(self, batches: Iterable) -> Iterator:
        """Yield the batches of a validation, of which each process has as many; leave where one is told to stop.

        Where checkpoints inside an epoch are asked for, the epoch's last update is saved first.
        """
        states = step_checkpoint.random_states()  # what the loader draws, it draws again then
        if saved := bool(self.options.checkpoint_every) or self.options.checkpoint_minutes is not None:
            self.save(self.updates)
        for batch in batches:
            if self.of_any(self.preemption.told):
                if not saved:
                    self.save(self.updates, states)
                self.leave(self.updates)
            yield batch

    def of_any(self, told: bool) -> bool:
        """Return whether any process says so; all come here, and each waits for the others."""
        if self.ranks > 1:
            votes = torch.tensor(float(told), device=self.device)
            torch.distributed.all_reduce(votes)
            told = bool(votes)  # reads it from the device, so that this waits there, too
        return told

    def at_stop(self, number: int) -> NoReturn:
        """Save update ``number`` and leave."""
        self.save(number)
        self.leave(number)

    def leave(self, number: int) -> NoReturn:
        """End this process with the status of one to be queued again; update ``number`` is saved.

        No process ends before the first one has written the file: what started them ends the others soon after one.
        """
        self.of_any(True)
        if self.keeps_files:
            epoch = self.running.reporter.get_epoch()
            print(f"told to stop: update {number}/{self.updates} of epoch {epoch} is saved, to go on from", flush=True)
        raise SystemExit(REQUEUE)

    def after_phase(self, phase: str, reporter: SubReporter) -> None:
        """Note the means of an epoch's "train" or "valid".

        Raises:
            UserError: a loss of a validation is not finite, by which epochs cannot be ranked.
        """
        self.measured |= {(phase, key) for key in reporter.stats}
        if phase == "valid":
            self.check_scheduler()
        if self.keeps_files:
            history.record(self.folder, phase, reporter, self.options.max_epoch)
        losses = reporter.stats.get("loss", ())
        if phase == "valid" and losses:
            # The mean leaves out what is no number, and is none itself where no batch counts.
            wrong = [
                one for one in (*(float(one.value) for one in losses), aggregate(losses)) if not math.isfinite(one)
            ]
            if wrong:
                raise UserError(
                    f"a loss of the validation after epoch {reporter.get_epoch()} is {wrong[0]}: the training has "
                    "diverged, and a lower learning rate may help, or no utterance of the set is long enough for a loss"
                )

    def check_criteria(self) -> None:
        """Raise UserError if no epoch could be called the best, or end the training: ESPnet passes over the first, and
        meets the second once the masks are settled.

        Only the first process, once the epoch before is in checkpoint.pth: nothing is lost.
        """
        if not self.keeps_files or not self.measured:
            return
        if self.criteria and not any((phase, key) in self.measured for phase, key, _ in self.criteria):
            wanted = ", ".join(f"{phase} {key}" for phase, key, _ in self.criteria)
            raise self.unmeasured("best_model_criterion ranks epochs", wanted, "go on from the last epoch")
        phase, key, _ = self.options.early_stopping_criterion
        if self.options.patience is not None and (phase, key) not in self.measured:
            where = "patience ends a training by early_stopping_criterion"
            raise self.unmeasured(where, f"{phase} {key}", "go on from the last epoch")

    def check_scheduler(self) -> None:
        """Raise UserError if a scheduler waits for a value of validation that is not measured, where ESPnet fails."""
        phase, key = self.options.val_scheduler_criterion
        waits = any(isinstance(one, AbsValEpochStepScheduler) for one in self.running.schedulers)
        if waits and (phase, key) not in self.measured:
            raise self.unmeasured("val_scheduler_criterion sets the learning rate", f"{phase} {key}", "start again")

    def unmeasured(self, what: str, wanted: str, then: str) -> UserError:
        known = sorted(key for phase, key in self.measured if phase == "valid" and not key.endswith("_time"))
        return UserError(
            f"{what} by {wanted}, which this training does not measure: name one of its values "
            f"(valid {', '.join(known)}) and {then}"
        )

    def at_end(self) -> None:
        """Remove the checkpoint inside an epoch, for all epochs are finished.

        Only the first process knows that they are: it may be writing the last one's checkpoint while others come here.
        """
        if self.keeps_files:
            (self.folder / STEP_STATE).unlink(missing_ok=True)
        self.check_criteria()
