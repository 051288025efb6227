"""ESPnet task of the two-branch fine-tuning."""

import argparse
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch
from espnet2.asr.specaug.specaug import SpecAug
from espnet2.train.abs_espnet_model import AbsESPnetModel
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import str_or_none

from dualmode.asr.build import build_asr_model
from dualmode.asr.config import AsrConfig
from dualmode.asr.model import AsrModel
from dualmode.config import from_mapping
from dualmode.data.tokens import Tokenizer
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.two_branch import BranchWeights
from dualmode.errors import UserError
from dualmode.lines import words
from dualmode.models.folder import ModelFolder
from dualmode.tasks.base import SupernetTask, collect_feats
from dualmode.tasks.plan import branch_warnings, length, loss_warnings
from dualmode.tasks.start import inherited_model_conf

AXES = ("freq", "time")  # of SpecAugment's masks
WARPS = ("bicubic", "bilinear")


class EspnetAsrModel(AsrModel, AbsESPnetModel):
    """:class:`AsrModel` as ESPnet's trainer takes it."""

    collect_feats = staticmethod(collect_feats)


def make_augment(conf: Mapping) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None:
    """Return what augments features, ESPnet's SpecAug as ``conf`` says; None for none; a bad value is a UserError."""
    if not conf:
        return None
    check_augment(conf)
    # SpecAug cannot draw no masks at all.
    conf = {**conf, **{f"apply_{axis}_mask": False for axis in AXES if conf.get(f"num_{axis}_mask") == 0}}
    if not any(conf.get(f"apply_{what}", True) for what in ("time_warp", *(f"{axis}_mask" for axis in AXES))):
        return None
    try:
        specaug = SpecAug(**conf)
    except (TypeError, ValueError) as error:
        raise UserError(f"specaug_conf: {error}") from error
    return lambda features, lengths: specaug(features, lengths)[0]


def check_augment(conf: Mapping) -> None:
    """Raise UserError for a value that SpecAug takes until it counts by it, or meets with a traceback."""
    for key, value in conf.items():
        if key.startswith(("apply_", "replace_")) and not isinstance(value, bool):
            raise UserError(f"specaug_conf: {key} is {value!r}: it must be true or false")
        if key.startswith("num_") and (type(value) is not int or value < 0):
            raise UserError(f"specaug_conf: {key} is {value!r}: it must be a whole number of at least 0")
        if key == "time_warp_window" and (type(value) is not int or value < 1):
            raise UserError(f"specaug_conf: {key} is {value!r}: it must be a whole number of at least 1")
        if key == "time_warp_mode" and value not in WARPS:
            raise UserError(f"specaug_conf: {key} is {value!r}: it must be {' or '.join(WARPS)}")
        if key.endswith("_range") and (value is not None or key.startswith("freq_")):
            ratio = "_ratio_" in key
            alone = type(value) is (float if ratio else int)  # the upper end
            low, high = value if isinstance(value, (list, tuple)) and len(value) == 2 else (0, value if alone else None)
            kinds = (int, float) if ratio else (int,)
            if not (type(low) in kinds and type(high) in kinds and 0 <= low < high < math.inf):
                what = "numbers from 0 on, such as [0.0, 0.05]" if ratio else "whole numbers from 0 on, such as [0, 10]"
                raise UserError(f"specaug_conf: {key} is {value!r}: a range must rise between two {what}")


class TokenIds:
    """Replaces an utterance's transcript by its token ids."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer

    def __call__(self, uid: str, data: dict) -> dict[str, np.ndarray]:
        unseen = self.tokenizer.unseen(data["text"])
        if unseen:
            raise UserError(f"the transcript of utterance {uid} has {unseen[0]!r}, which is not in the token list")
        return {**data, "text": np.array(self.tokenizer.encode(data["text"]), dtype=np.int64)}


class AsrTask(SupernetTask):
    """Fine-tuning on features and transcripts."""

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser):
        group = super().add_task_arguments(parser)
        group.add_argument("--token_dir", type=str_or_none, default=None, help="folder of dualmode make-tokens")
        group.add_argument(
            "--specaug_conf", action=NestedDictAction, default={}, help="ESPnet's SpecAug; empty: no augmentation"
        )
        return group

    @classmethod
    def build_preprocess_fn(cls, args: argparse.Namespace, train: bool):
        return TokenIds(Tokenizer.load(Path(args.token_dir)))

    @classmethod
    def required_data_names(cls, train: bool = True, inference: bool = False):
        return ("speech", "text")

    @classmethod
    def check_settings(cls, args: argparse.Namespace) -> None:
        super().check_settings(args)
        from_mapping(AsrConfig, args.model_conf, "model_conf")
        make_augment(args.specaug_conf)
        bins = args.encoder_conf.get("input_size", EncoderConfig.input_size)
        conf = args.specaug_conf
        masks = conf.get("apply_freq_mask", True) and conf.get("num_freq_mask", 2)
        widest = max(np.ravel(conf.get("freq_mask_width_range") or 0)) if masks else 0
        if conf and isinstance(bins, int) and widest > bins:
            raise UserError(f"specaug_conf: freq_mask_width_range is up to {widest}, and a frame has {bins} bins")

    @classmethod
    def warnings(cls, args: argparse.Namespace) -> list[str]:
        updates = length(args)
        config = from_mapping(AsrConfig, args.model_conf, "model_conf")
        found = super().warnings(args) + (loss_warnings(updates, config) if updates else [])
        return found + branch_warnings(config, from_mapping(BranchWeights, args.branch_conf, "branch_conf"))

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> EspnetAsrModel:
        augment = make_augment(args.specaug_conf)
        tokenizer = Tokenizer.load(Path(args.token_dir))

        if args.init_encoder:
            theirs = ModelFolder.open(Path(args.init_encoder))
            if theirs.has_tokens:  # a recogniser
                args.model_conf = inherited_model_conf(args.model_conf, theirs.config.get("model_conf") or {})

        def to_words(tokens):
            return words(tokenizer.decode(tokens))

        model = build_asr_model(
            vars(args), tokenizer.tokens, cls.build_encoder(args), augment, EspnetAsrModel, to_words
        )
        cls.take_over(args, model, tokenizer.tokens)
        return cast(EspnetAsrModel, model)
