"""What the two trainings share: options, data, the encoder and where its weights come from."""

import argparse
import contextlib
import multiprocessing
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from espnet2.tasks.abs_task import AbsTask
from espnet2.train.class_choices import ClassChoices
from espnet2.train.collate_fn import CommonCollateFn
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import float_or_none, int_or_none, str2bool, str_or_none

from dualmode.config import from_mapping
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.subsampling import GlobalNorm
from dualmode.encoder.two_branch import BranchWeights, TwoBranchModel
from dualmode.errors import UserError
from dualmode.models.folder import ModelFolder
from dualmode.models.weights import load_cmvn
from dualmode.models.yaml_file import read_yaml
from dualmode.supernet.pruning import PruningSchedule
from dualmode.tasks import features
from dualmode.tasks.alone import alone, is_first
from dualmode.tasks.batch_size import check_batch, check_batch_type, complete_batch
from dualmode.tasks.encoder import NAME, EspnetEncoder
from dualmode.tasks.going_on import check_model_goes_on, check_nothing_is_lost, check_plan_goes_on
from dualmode.tasks.hand_over import inherited, take_over
from dualmode.tasks.plan import check_cycle, interval_warnings, length, mask_warnings, turn_warnings
from dualmode.tasks.settings import check_frozen, numbers_in_settings, refuse, refuse_unheeded, with_numbers
from dualmode.tasks.start import starting_config
from dualmode.tasks.trainer import SupernetTrainer
from dualmode.tasks.windowed import make_factory

features.register()

FUSED = ("adam", "adamw")  # optimizers that can update all weights in a few kernels on a GPU

encoder_choices = ClassChoices("encoder", {NAME: EspnetEncoder}, default=NAME)


class SupernetTask(AbsTask):
    """Base of the two tasks; the model is built by the subclass."""

    num_optimizers = 1
    class_choices_list = [encoder_choices]
    trainer = SupernetTrainer

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser):
        group = parser.add_argument_group(description="Supernet")
        encoder_choices.add_arguments(group)
        for name, what in (
            ("model_conf", "settings of the model"),
            ("pruning_conf", "schedule of the masks: begin, end, interval, after in updates, start as a share"),
            (
                "branch_conf",
                "weights of the branches' losses: dense, sparse; schedule both or alternate; backward joint or apart",
            ),
        ):
            group.add_argument(f"--{name}", action=NestedDictAction, default={}, help=what)
        group.add_argument("--cmvn", type=str_or_none, default=None, help="JSON of dualmode compute-cmvn")
        group.add_argument(
            "--init_encoder",
            type=str_or_none,
            default=None,
            help="model folder of another training to start from",
        )
        group.add_argument(
            "--encoder_from",
            type=str_or_none,
            default=None,
            help="YAML whose encoder_conf completes this one's, for a training that starts from nothing",
        )
        group.add_argument(
            "--checkpoint_every",
            type=int_or_none,
            default=None,
            help="batches between two checkpoints inside an epoch, rounded up to whole updates; one follows each epoch",
        )
        group.add_argument(
            "--checkpoint_minutes",
            type=float_or_none,
            default=None,
            help="minutes between two checkpoints inside an epoch, by themselves or beside checkpoint_every",
        )
        group.add_argument(
            "--dry_step",
            type=str2bool,
            default=None,
            help="whether the largest batches are tried before the first update; by default where there is a GPU, "
            "whose memory may not suffice",
        )
        group.add_argument(
            "--updates_per_epoch",
            type=int_or_none,
            default=None,
            help="updates of an epoch, whatever the number of GPUs; num_iters_per_epoch, which counts batches, follows",
        )
        group.add_argument(
            "--reference_batch_h",
            type=float_or_none,
            default=None,
            help="hours of audio for each update: accum_grad follows from it and the number of GPUs, and batch_bins "
            "is then what one GPU takes at once",
        )
        group.add_argument(
            "--window_h",
            type=float_or_none,
            default=None,
            help="for sets of millions of utterances: hours of audio that each process reads one after the other and "
            "shuffles, instead of the whole set at once (see docs/scale.md)",
        )
        return group

    @classmethod
    def get_parser(cls) -> argparse.ArgumentParser:
        parser = super().get_parser()
        parser.error = refuse  # type: ignore[method-assign]
        return parser

    @classmethod
    def build_iter_factory(cls, args, distributed_option, mode: str, kwargs: dict | None = None):
        if mode == "train" and args.window_h is not None:
            options = cls.build_iter_options(args, distributed_option, mode)
            return make_factory(args, options, Path(args.output_dir) / "data" / "index")
        return super().build_iter_factory(args, distributed_option, mode, kwargs)

    @classmethod
    def optional_data_names(cls, train: bool = True, inference: bool = False):
        return ()

    @classmethod
    def build_collate_fn(cls, args: argparse.Namespace, train: bool):
        return CommonCollateFn(float_pad_value=0.0, int_pad_value=-1)

    @classmethod
    def build_encoder(cls, args: argparse.Namespace) -> EspnetEncoder:
        """Build the encoder with new weights; sizes and masks that are not given are those of what it starts from.

        Raises:
            UserError: a key or value is impossible, or weights are to be ranked by inputs that nobody has measured.
        """
        conf = args.encoder_conf
        if args.init_encoder:
            conf = inherited(conf, starting_config(ModelFolder.open(Path(args.init_encoder))))
        elif args.encoder_from:
            conf = inherited(conf, encoder_config_of(Path(args.encoder_from)))
        config = from_mapping(EncoderConfig, conf, "encoder_conf")
        if config.importance == "activations" and not args.init_encoder:
            raise UserError(
                "encoder_conf: importance is activations, which dualmode prune --calibrate measures in a trained "
                "model: leave it out, or start from such a model (--init)"
            )
        args.encoder_conf = config.to_dict()
        return EspnetEncoder(**config.to_dict())

    @classmethod
    def check_settings(cls, args: argparse.Namespace) -> None:
        """Build every setting but the encoder's, without data and without a model; a bad one is a UserError."""
        from_mapping(PruningSchedule, args.pruning_conf, "pruning_conf")
        from_mapping(BranchWeights, args.branch_conf, "branch_conf")
        check_batch_type(args)
        check_batch(args)
        check_cycle(args)

    @classmethod
    def warnings(cls, args: argparse.Namespace) -> list[str]:
        """Return what of the settings, which are good, does not fit into the length of the training."""
        updates, schedule = length(args), from_mapping(PruningSchedule, args.pruning_conf, "pruning_conf")
        branches = from_mapping(BranchWeights, args.branch_conf, "branch_conf")
        found = interval_warnings(args.pruning_conf) + turn_warnings(branches, args.grad_clip)
        return found + (mask_warnings(updates, schedule) if updates else [])

    @classmethod
    def take_over(cls, args: argparse.Namespace, model: TwoBranchModel, tokens: Sequence[str] = ()) -> None:
        """Load weights of another training, if asked for, with its mean and variance unless others are named."""
        model.seed = args.seed
        if args.init_encoder:
            take_over(model, model.encoder.config, Path(args.init_encoder), tokens)
        elif model.encoder.config.masked and model.branches.sparse and not model.schedule.interval and is_first(args):
            print(
                "warning: this training starts from no model and never finds masks (pruning_conf: interval is 0), so "
                "that its sparse branch has all weights to the end",
                flush=True,
            )
        if args.cmvn:
            replace_cmvn(model.encoder.normalize, Path(args.cmvn), args.init_encoder)
        check_frozen(args, model)
        check_model_goes_on(args, model)

    @classmethod
    def main_worker(cls, args: argparse.Namespace):
        """Run ESPnet's training; one of several processes says a user's mistake itself, since nobody else hears it."""
        try:
            cls._train(args)
        except UserError as error:
            if multiprocessing.parent_process() is None:
                raise
            print(f"error: {error}", file=sys.stderr, flush=True)
            sys.exit(2)

    @classmethod
    def _train(cls, args: argparse.Namespace) -> None:
        """Complete the settings that follow from others, then run ESPnet's training."""
        refuse_unheeded(args)
        if args.ngpu > torch.cuda.device_count():
            raise UserError(
                f"--ngpu {args.ngpu}, but PyTorch sees {torch.cuda.device_count()} GPUs on this machine (what does "
                "nvidia-smi say?)"
            )
        numbers_in_settings(args)
        complete_batch(args)
        check_cycle(args)
        if args.ngpu and args.optim in FUSED:
            args.optim_conf = {"fused": True, **args.optim_conf}
        if args.scheduler == "onecyclelr":
            args.scheduler_conf = {**args.scheduler_conf, "total_steps": length(args)}
        first = is_first(args)
        with alone(Path(args.output_dir)) if first else contextlib.nullcontext():
            cls._train_alone(args, first)

    @classmethod
    def _train_alone(cls, args: argparse.Namespace, first: bool) -> None:
        """Look at what is in the folder already, then run ESPnet's training; ``first`` is the process that writes."""
        check_plan_goes_on(args)
        if first:
            check_nothing_is_lost(args)
            for warning in cls.warnings(args):
                print(f"warning: {warning}", flush=True)
        if args.ngpu and args.encoder_conf.get("training_precision") == "bf16":
            # What is not cast to bf16, such as the joiner's output, has no use for 23 bits of mantissa either.
            torch.set_float32_matmul_precision("high")
        super().main_worker(args)


def replace_cmvn(norm: GlobalNorm, path: Path, init: str | None) -> None:
    """Read mean and variance from ``path``; say so where the model ``init`` was trained with others."""
    before = norm.mean.clone(), norm.std.clone()
    load_cmvn(norm, path)
    same = all(torch.allclose(old, new) for old, new in zip(before, (norm.mean, norm.std), strict=True))
    if init and not same:
        print(f"mean and variance are those of {path}, in the place of those of {init} (--cmvn)", flush=True)


def encoder_config_of(path: Path) -> EncoderConfig:
    """Return what the encoder_conf of a training's YAML says, checked."""
    conf = with_numbers(read_yaml(path).get("encoder_conf") or {})
    return from_mapping(EncoderConfig, conf, f"{path}: encoder_conf")


def collect_feats(speech: torch.Tensor, speech_lengths: torch.Tensor, **_) -> dict[str, torch.Tensor]:
    """ESPnet's hook for statistics of features; ours are fbank already."""
    return {"feats": speech, "feats_lengths": speech_lengths}
