"""ESPnet's trainer, which hands each moment of a training on to :class:`dualmode.tasks.update.RunState`."""

import argparse
import itertools
import logging
import time
from collections.abc import Callable, Iterator

import torch
from espnet2.train.reporter import SubReporter
from espnet2.train.trainer import Trainer
from espnet2.utils.build_dataclass import build_dataclass

from dualmode.errors import UserError
from dualmode.tasks.optimise import Updater
from dualmode.tasks.patches import patches
from dualmode.tasks.preemption import Preemption
from dualmode.tasks.step_checkpoint import Running
from dualmode.tasks.update import RunState, SupernetOptions


class SupernetTrainer(Trainer):
    """Trainer of both trainings.

    ESPnet calls class methods and makes no object, so the state of the run is kept here, from the beginning of
    :meth:`run` to its end and no longer.
    """

    options_class = SupernetOptions
    state: RunState | None = None

    @classmethod
    def build_options(cls, args: argparse.Namespace) -> SupernetOptions:
        return build_dataclass(cls.options_class, args)

    @classmethod
    def watcher(cls, options: SupernetOptions) -> Callable[[SubReporter], None] | None:
        """Return what looks at the reports after each update of a run, if anything does."""
        return None

    @classmethod
    def run(cls, *, model, trainer_options, distributed_option, **kwargs) -> None:
        distributed = distributed_option.distributed
        if not distributed and distributed_option.ngpu > 1:
            raise UserError(
                f"one process cannot train on {distributed_option.ngpu} GPUs: the masks would never move; run one for "
                "each, with --multiprocessing_distributed true, as the recipes do"
            )
        cls.state = RunState(trainer_options, distributed_option, Preemption(), cls.watcher(trainer_options))
        try:
            with patches(model, distributed):
                super().run(
                    model=model, trainer_options=trainer_options, distributed_option=distributed_option, **kwargs
                )
            cls.state.at_end()
        finally:
            cls.state = None

    @classmethod
    def resume(cls, *, checkpoint, model, reporter, **kwargs) -> None:
        super().resume(checkpoint=checkpoint, model=model, reporter=reporter, **kwargs)
        cls.state.at_resume(model.state_dict(), reporter)

    @classmethod
    def train_one_epoch(
        cls,
        *,
        model,
        optimizers,
        schedulers,
        scaler,
        iterator,
        reporter,
        summary_writer,
        options,
        distributed_option,
    ) -> bool:
        """Train an epoch, in the place of ESPnet's loop; return False: True ends a training as if it were finished.

        ESPnet's loop divides each batch by its own weight, reads every value from the device for itself, and makes the
        processes wait for each other before every batch.

        Raises:
            UserError: no update of a whole epoch was made.
        """
        device = torch.device("cuda" if options.ngpu else "cpu")
        updater = Updater(
            model, optimizers[0], schedulers[0], scaler, options.accum_grad, options.grad_clip, options.grad_clip_type,
            device,
        )  # fmt: skip
        run, made, skipped = cls.state, False, None
        own_noise(run.rank)
        model.train()
        running = Running(updater.bare, optimizers, schedulers, scaler, reporter)
        done, rest = run.before_epoch(running, iterator, device)
        interval = options.log_interval or max(run.updates // 20, 10)
        batches = Waited(rest)
        for number in range(done + 1, run.updates + 1):
            start, batches.seconds = time.perf_counter(), 0.0
            totals, skipped = updater.update(itertools.islice(batches, options.accum_grad), run.votes)
            made = made or skipped is None
            rates = {f"optim0_lr{index}": group["lr"] for index, group in enumerate(optimizers[0].param_groups)}
            times = {"iter_time": batches.seconds, "train_time": time.perf_counter() - start}
            run.after_update(number, totals, skipped, {**rates, **times})
            if number % interval == 0 and reporter.count:
                log(reporter, interval, summary_writer, options.use_wandb)
        if not made and not done:
            raise UserError(
                f"no update of epoch {reporter.get_epoch()} was made, the last one since {skipped}: the training has "
                "diverged, or its data is of no use to it; a lower learning rate may help"
            )
        run.after_phase("train", reporter)
        return False

    @classmethod
    def validate_one_epoch(cls, *, iterator, reporter, options, **kwargs) -> None:
        batches = cls.state.until_told(iterator)
        super().validate_one_epoch(iterator=batches, reporter=reporter, options=options, **kwargs)
        cls.state.after_phase("valid", reporter)


def own_noise(rank: int) -> None:
    """Make dropout, spans and SpecAugment this process's own; what all draw alike, the model draws by itself.

    ESPnet has just given every process the epoch's seed.
    """
    if rank:
        torch.manual_seed(torch.initial_seed() + 1_000_003 * rank)


class Waited:
    """Goes through ``items`` and counts the ``seconds`` that they were waited for."""

    def __init__(self, items: Iterator):
        self.items, self.seconds = items, 0.0

    def __iter__(self) -> "Waited":
        return self

    def __next__(self):
        start = time.perf_counter()
        try:
            return next(self.items)
        finally:
            self.seconds += time.perf_counter() - start


def log(reporter: SubReporter, interval: int, summary_writer, use_wandb: bool) -> None:
    """Log the means of the last ``interval`` updates to wherever ESPnet's options say."""
    logging.info(reporter.log_message(-min(interval, reporter.count)).replace("batch:", "update:", 1))
    if summary_writer is not None:
        reporter.tensorboard_add_scalar(summary_writer, -min(interval, reporter.count))
    if use_wandb:
        reporter.wandb_log()
