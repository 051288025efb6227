"""ESPnet's trainer, with progress that people can read and checkpoints that survive a kill at any moment."""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet2.train.reporter import SubReporter, aggregate
from espnet2.train.trainer import Trainer, TrainerOptions
from espnet2.utils.build_dataclass import build_dataclass
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.utils.data import DataLoader

from dualmode.cluster.task import REQUEUE
from dualmode.progress import Progress
from dualmode.tasks import step_checkpoint
from dualmode.tasks.finish_epoch import finish_epoch
from dualmode.tasks.patches import patches
from dualmode.tasks.preemption import Preemption
from dualmode.tasks.step_checkpoint import rest_of, set_random_states

HISTORY = "history.jsonl"
SHOWN = ("loss", "ter", "wer", "accuracy", "chance", "perplexity")


class _Watched:
    """An epoch's batches, of which ``done`` are finished: goes on after these and calls ``after(number)`` for each.

    The random generators are set once the loader, which draws from them, has started.
    """

    def __init__(
        self, batches: DataLoader, after: Callable[[int], None], done: int = 0, random_states: dict | None = None
    ):
        self.batches, self.after, self.done, self.random_states = batches, after, done, random_states

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self):
        batches = iter(rest_of(self.batches, self.done) if self.done else self.batches)
        if self.random_states is not None:
            set_random_states(self.random_states)
        for number, batch in enumerate(batches, start=self.done + 1):
            yield batch
            self.after(number)


def mean_stats(reporter: SubReporter) -> dict[str, float]:
    """Return the epoch's mean of every value that a model reported, without ESPnet's own book-keeping."""
    hidden = ("_time", "loss_scale", "clip")
    return {key: float(aggregate(values)) for key, values in reporter.stats.items() if not key.endswith(hidden)}


def read_history(folder: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Return ``{"train": {key: [(epoch, value), ...]}, "valid": ...}``; of a repeated epoch the last run counts."""
    latest: dict[tuple[int, str], dict] = {}
    for line in (folder / HISTORY).read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        latest[record["epoch"], record["phase"]] = record["stats"]
    history: dict = {"train": {}, "valid": {}}
    for (epoch, phase), stats in sorted(latest.items()):
        for key, value in stats.items():
            history[phase].setdefault(key, []).append((epoch, value))
    return history


@dataclass
class SupernetOptions(TrainerOptions):
    """ESPnet's options, and the batches between two checkpoints inside an epoch; None writes none."""

    checkpoint_every: int | None


class SupernetTrainer(Trainer):
    """Trainer of both trainings."""

    options_class = SupernetOptions
    progress: Progress | None = None
    preemption: Preemption | None = None
    criteria: Sequence[Sequence[str]] = ()  # of the best epochs
    keeps_files: bool = True  # of several processes, the first one

    @classmethod
    def build_options(cls, args: argparse.Namespace) -> SupernetOptions:
        return build_dataclass(cls.options_class, args)

    @classmethod
    def run(cls, *args, **kwargs) -> None:
        distributed = kwargs["distributed_option"]
        cls.progress, cls.preemption = None, Preemption(distributed.distributed)
        cls.keeps_files = not distributed.distributed or distributed.dist_rank == 0
        cls.criteria = kwargs["trainer_options"].best_model_criterion
        with patches(kwargs["model"], distributed.distributed):
            super().run(*args, **kwargs)
        (Path(kwargs["trainer_options"].output_dir) / step_checkpoint.NAME).unlink(missing_ok=True)

    @classmethod
    def resume(cls, checkpoint, model, reporter, **kwargs) -> None:
        super().resume(checkpoint=checkpoint, model=model, reporter=reporter, **kwargs)
        if cls.keeps_files:
            finish_epoch(Path(checkpoint).parent, model.state_dict(), reporter, cls.criteria)

    @classmethod
    def watch(cls, reporter: SubReporter, options: SupernetOptions) -> None:
        """Look at what the training has reported, after each batch; may raise UserError to end it."""

    @classmethod
    def train_one_epoch(
        cls, *, model, optimizers, schedulers, scaler, iterator, reporter, options, distributed_option, **kwargs
    ) -> bool:
        epoch, batches, folder = reporter.get_epoch(), len(iterator), Path(options.output_dir)
        rank, ranks = (
            (distributed_option.dist_rank, distributed_option.dist_world_size)
            if distributed_option.distributed
            else (0, 1)
        )
        bare = model.module if isinstance(model, (DataParallel, DistributedDataParallel)) else model
        running = step_checkpoint.Running(bare, optimizers, schedulers, scaler, reporter)
        # Gradients of an unfinished accumulation are not in a checkpoint, so no epoch begins with any.
        for optimizer in optimizers:
            optimizer.zero_grad()
        state = None
        if cls.progress is None:
            state = step_checkpoint.load(folder, epoch, batches, ranks) if options.resume else None
            done = state["batches"] if state else 0
            cls.progress = Progress(options.max_epoch * batches, "training", done=(epoch - 1) * batches + done)
        if state:
            running.restore(state)
            print(f"going on after batch {state['batches']}/{batches} of epoch {epoch}", flush=True)

        def after(number: int) -> None:
            losses = reporter.stats.get("loss")
            cls.progress.advance(note=f"loss {aggregate(losses[-20:]):.3f}" if losses else "")
            cls.watch(reporter, options)
            if options.checkpoint_every and number % options.checkpoint_every == 0 and number < batches:
                step_checkpoint.save(folder, running, number, batches, rank, ranks)
            # After the last batch, the epoch's own checkpoint comes first.
            if number % options.accum_grad == 0 and number < batches and cls.preemption.agreed():
                step_checkpoint.save(folder, running, number, batches, rank, ranks)
                if rank == 0:
                    print(
                        f"told to stop: batch {number}/{batches} of epoch {epoch} is saved, to go on from", flush=True
                    )
                raise SystemExit(REQUEUE)

        invalid = super().train_one_epoch(
            model=model,
            optimizers=optimizers,
            schedulers=schedulers,
            scaler=scaler,
            iterator=_Watched(iterator, after, *((state["batches"], state["random"][rank]) if state else ())),
            reporter=reporter,
            options=options,
            distributed_option=distributed_option,
            **kwargs,
        )
        cls._record("train", reporter, options, distributed_option)
        return invalid

    @classmethod
    def validate_one_epoch(cls, *, reporter, options, distributed_option, **kwargs) -> None:
        super().validate_one_epoch(reporter=reporter, options=options, distributed_option=distributed_option, **kwargs)
        cls._record("valid", reporter, options, distributed_option)

    @staticmethod
    def _record(phase: str, reporter: SubReporter, options, distributed_option) -> None:
        """Append the epoch's means to history.jsonl and print them, on the first rank."""
        if distributed_option.distributed and distributed_option.dist_rank != 0:
            return
        stats = mean_stats(reporter)
        record = {"epoch": reporter.get_epoch(), "phase": phase, "stats": stats}
        with open(Path(options.output_dir) / HISTORY, "a", encoding="utf-8") as out:
            out.write(json.dumps(record) + "\n")
        shown = ", ".join(f"{key} {value:.3f}" for key, value in stats.items() if key.startswith(SHOWN))
        print(f"epoch {reporter.get_epoch()}/{options.max_epoch} {phase}: {shown}", flush=True)
