"""ESPnet's trainer, which hands each moment of a training on to :class:`dualmode.tasks.update.RunState`."""

import argparse
from collections.abc import Callable

import torch
from espnet2.train.reporter import SubReporter
from espnet2.train.trainer import Trainer
from espnet2.utils.build_dataclass import build_dataclass
from torch.nn.parallel import DistributedDataParallel

from dualmode.errors import UserError
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
        """Return what looks at the reports after each batch of a run, if anything does."""
        return None

    @classmethod
    def run(cls, *, model, trainer_options, distributed_option, **kwargs) -> None:
        distributed = distributed_option.distributed
        if distributed:  # dropout, spans and SpecAugment are each process's own; what all draw alike, the model draws
            torch.manual_seed(torch.initial_seed() + distributed_option.dist_rank)
        elif distributed_option.ngpu > 1:
            raise UserError(
                f"one process cannot train on {distributed_option.ngpu} GPUs: the masks would never move; run one for "
                "each, with --multiprocessing_distributed true, as the recipes do"
            )
        cls.state = RunState(trainer_options, distributed_option, Preemption(distributed), cls.watcher(trainer_options))
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
    def train_one_epoch(cls, *, model, optimizers, schedulers, scaler, iterator, reporter, **kwargs) -> bool:
        bare = model.module if isinstance(model, DistributedDataParallel) else model
        running = Running(bare, optimizers, schedulers, scaler, reporter)
        invalid = super().train_one_epoch(
            model=model,
            optimizers=optimizers,
            schedulers=schedulers,
            scaler=scaler,
            iterator=cls.state.before_epoch(running, iterator, model if model is not bare else None),
            reporter=reporter,
            **kwargs,
        )
        cls.state.after_phase("train", reporter)
        return invalid

    @classmethod
    def validate_one_epoch(cls, *, reporter, **kwargs) -> None:
        super().validate_one_epoch(reporter=reporter, **kwargs)
        cls.state.after_phase("valid", reporter)
