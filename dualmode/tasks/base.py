"""What the two trainings share: options, data, the encoder and where its weights come from."""

import argparse
import multiprocessing
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from espnet2.tasks.abs_task import AbsTask
from espnet2.train.class_choices import ClassChoices
from espnet2.train.collate_fn import CommonCollateFn
from espnet2.train.distributed_utils import get_world_size
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
from dualmode.tasks.batch_size import plan_update
from dualmode.tasks.encoder import NAME, EspnetEncoder
from dualmode.tasks.hand_over import inherited, take_over
from dualmode.tasks.plan import length, mask_warnings
from dualmode.tasks.settings import refuse
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
    def build_collate_fn(cls, args: argparse.Namespace, train: bool):
        return CommonCollateFn(float_pad_value=0.0, int_pad_value=-1)

    @classmethod
    def build_encoder(cls, args: argparse.Namespace) -> EspnetEncoder:
        """Build the encoder with new weights; sizes and masks that are not given are those of what it starts from."""
        conf = args.encoder_conf
        if args.init_encoder:
            conf = inherited(conf, starting_config(ModelFolder.open(Path(args.init_encoder))))
        elif args.encoder_from:
            conf = inherited(conf, encoder_config_of(Path(args.encoder_from)))
        config = from_mapping(EncoderConfig, conf, "encoder_conf")
        args.encoder_conf = config.to_dict()
        return EspnetEncoder(**config.to_dict())

    @classmethod
    def check_settings(cls, args: argparse.Namespace) -> None:
        """Build every setting but the encoder's, without data and without a model; a bad one is a UserError."""
        from_mapping(PruningSchedule, args.pruning_conf, "pruning_conf")
        from_mapping(BranchWeights, args.branch_conf, "branch_conf")
        check_batch(args)

    @classmethod
    def warnings(cls, args: argparse.Namespace) -> list[str]:
        """Return what of the settings, which are good, does not fit into the length of the training."""
        updates = length(args)
        return (
            mask_warnings(updates, from_mapping(PruningSchedule, args.pruning_conf, "pruning_conf")) if updates else []
        )

    @classmethod
    def take_over(cls, args: argparse.Namespace, model: TwoBranchModel, tokens: Sequence[str] = ()) -> None:
        """Load weights of another training, if asked for, with its mean and variance unless others are named."""
        model.seed = args.seed
        if args.init_encoder:
            take_over(model, model.encoder.config, Path(args.init_encoder), tokens)
        if args.cmvn:
            replace_cmvn(model.encoder.normalize, Path(args.cmvn), args.init_encoder)

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
        if args.init_param:
            raise UserError(
                "init_param reads weights in a way that can start programs: start from a model folder instead (--init)"
            )
        if args.ngpu > torch.cuda.device_count():
            raise UserError(
                f"--ngpu {args.ngpu}, but PyTorch sees {torch.cuda.device_count()} GPUs on this machine (what does "
                "nvidia-smi say?)"
            )
        refuse_unheeded(args)
        numbers_in_settings(args)
        complete_batch(args)
        if args.ngpu and args.optim in FUSED:
            args.optim_conf = {"fused": True, **args.optim_conf}
        if args.scheduler == "onecyclelr" and "total_steps" not in args.scheduler_conf:
            steps = args.max_epoch * (args.num_iters_per_epoch // args.accum_grad)
            args.scheduler_conf = {**args.scheduler_conf, "total_steps": steps}
        check_plan_goes_on(args)
        if not args.distributed or args.dist_rank in (0, None):
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


def check_plan_goes_on(args: argparse.Namespace) -> None:
    """Raise UserError if a training that goes on has another plan of learning rates than it began with.

    ESPnet takes the old plan from checkpoint.pth and would step past its end, or stop short of it.
    """
    begun = Path(args.output_dir) / "config.yaml"
    if not (args.resume and (Path(args.output_dir) / "checkpoint.pth").exists() and begun.is_file()):
        return
    old = read_yaml(begun)
    before, now = ((conf or {}).get("total_steps") for conf in (old.get("scheduler_conf"), args.scheduler_conf))
    if old.get("scheduler") == args.scheduler and before != now:
        values = [(key, old.get(key), getattr(args, key)) for key in ("max_epoch", "num_iters_per_epoch", "accum_grad")]
        changed = [f"{key} {value} -> {new}" for key, value, new in values if value != new]
        raise UserError(
            f"{args.output_dir} was begun with a plan of {before} updates for the learning rate, and would now have "
            f"{now} ({', '.join(changed) or 'scheduler_conf'}): go on with the same plan, or train into another "
            "folder, from these weights if you like (--init)"
        )


def with_numbers(value):
    """Return ``value``, of lists, dicts and what YAML reads, with numbers where YAML 1.1 sees text for want of a dot.

    >>> with_numbers({"lr": "1e-3", "betas": [0.9, "98e-2"], "name": "e3"})
    {'lr': 0.001, 'betas': [0.9, 0.98], 'name': 'e3'}
    """
    if isinstance(value, dict):
        return {key: with_numbers(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [with_numbers(item) for item in value]
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+[eE][-+]?\d+", value):
        return float(value)
    return value


def encoder_config_of(path: Path) -> EncoderConfig:
    """Return what the encoder_conf of a training's YAML says, checked."""
    conf = with_numbers(read_yaml(path).get("encoder_conf") or {})
    return from_mapping(EncoderConfig, conf, f"{path}: encoder_conf")


def numbers_in_settings(args: argparse.Namespace) -> None:
    """Make :func:`with_numbers` of every ``*_conf``."""
    for name, value in vars(args).items():
        if name.endswith("_conf"):
            setattr(args, name, with_numbers(value))


def refuse_unheeded(args: argparse.Namespace) -> None:
    """Raise UserError for an option of ESPnet that :class:`SupernetTrainer` does not heed."""
    for name in ("grad_noise", "no_forward_run", "create_graph_in_tensorboard", "sharded_ddp"):
        if getattr(args, name):
            raise UserError(f"{name} is an option of ESPnet's own training loop, which this training does not use")


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
    if args.scheduler == "onecyclelr" and "total_steps" not in args.scheduler_conf:
        if not (args.num_iters_per_epoch or args.updates_per_epoch):
            raise UserError(
                "onecyclelr needs updates_per_epoch or num_iters_per_epoch in the YAML: the cycle's length follows "
                "from it"
            )


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
        if not args.distributed or args.dist_rank == 0:
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


def collect_feats(speech: torch.Tensor, speech_lengths: torch.Tensor, **_) -> dict[str, torch.Tensor]:
    """ESPnet's hook for statistics of features; ours are fbank already."""
    return {"feats": speech, "feats_lengths": speech_lengths}
