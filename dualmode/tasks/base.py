"""What the two trainings share: options, data, the encoder and where its weights come from."""

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from espnet2.tasks.abs_task import AbsTask
from espnet2.train.class_choices import ClassChoices
from espnet2.train.collate_fn import CommonCollateFn
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import str_or_none

from dualmode.checkpoint import encoder_weights, find_checkpoint, load_cmvn, load_into, load_weights, read_yaml
from dualmode.encoder.config import EncoderConfig, from_mapping
from dualmode.errors import UserError
from dualmode.tasks.encoder import NAME, EspnetEncoder
from dualmode.tasks.trainer import SupernetTrainer

# Settings of the encoder that two trainings of one model may differ in.
TRAINING_ONLY = (
    "dropout_rate",
    "layer_drop_rate",
    "gradient_checkpointing",
    "training_precision",
    "chunk_ms",
    "left_ms",
    "right_ms",
)

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
            ("pruning_conf", "schedule of the masks: begin, end, interval, after in batches, start as a share"),
            ("branch_conf", "weights of the losses of the branches: dense, sparse"),
        ):
            group.add_argument(f"--{name}", action=NestedDictAction, default={}, help=what)
        group.add_argument("--cmvn", type=str_or_none, default=None, help="JSON of dualmode.bin.compute_cmvn")
        group.add_argument(
            "--init_encoder", type=str_or_none, default=None, help="model folder that the encoder comes from"
        )
        return group

    @classmethod
    def build_collate_fn(cls, args: argparse.Namespace, train: bool):
        return CommonCollateFn(float_pad_value=0.0, int_pad_value=-1)

    @classmethod
    def build_encoder(cls, args: argparse.Namespace) -> EspnetEncoder:
        """Build the encoder with the training set's statistics and, if asked for, weights of another training."""
        config = from_mapping(EncoderConfig, args.encoder_conf, "encoder_conf")
        args.encoder_conf = config.to_dict()
        encoder = EspnetEncoder(**config.to_dict())
        if args.init_encoder:
            folder = Path(args.init_encoder)
            checkpoint = find_checkpoint(folder)
            check_same_encoder(config, read_yaml(folder / "config.yaml"), folder)
            load_into(encoder, encoder_weights(load_weights(checkpoint)), checkpoint)
            logging.info("the encoder's weights and masks come from %s", checkpoint)
        if args.cmvn:
            load_cmvn(encoder.normalize, Path(args.cmvn))
        return encoder

    @classmethod
    def main_worker(cls, args: argparse.Namespace):
        """Complete the scheduler's settings, then run ESPnet's training."""
        if args.scheduler == "onecyclelr" and "total_steps" not in args.scheduler_conf:
            if not args.num_iters_per_epoch:
                raise UserError("onecyclelr needs num_iters_per_epoch in the YAML: the cycle's length follows from it")
            steps = args.max_epoch * (args.num_iters_per_epoch // args.accum_grad)
            args.scheduler_conf = {**args.scheduler_conf, "total_steps": steps}
        super().main_worker(args)


def check_same_encoder(config: EncoderConfig, other: Mapping, folder: Path) -> None:
    """Raise UserError if the encoder in ``folder`` has other sizes or masks than ``config``; names both."""
    theirs = from_mapping(EncoderConfig, other.get("encoder_conf") or {}, f"{folder}/config.yaml: encoder_conf")
    mine = config.to_dict()
    for key, value in theirs.to_dict().items():
        if key not in TRAINING_ONLY and mine[key] != value:
            raise UserError(
                f"the encoder in {folder} has {key} {value}, but this configuration has {mine[key]}: "
                "make encoder_conf the same in both YAML files"
            )


def collect_feats(speech: torch.Tensor, speech_lengths: torch.Tensor, **_) -> dict[str, torch.Tensor]:
    """ESPnet's hook for statistics of features; ours are fbank already."""
    return {"feats": speech, "feats_lengths": speech_lengths}
