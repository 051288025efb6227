"""ESPnet task of the two-branch fine-tuning."""

import argparse
from pathlib import Path

import numpy as np
from espnet2.asr.specaug.specaug import SpecAug
from espnet2.train.abs_espnet_model import AbsESPnetModel
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import str_or_none

from dualmode.asr.build import build_asr_model
from dualmode.asr.model import AsrModel
from dualmode.data.tokens import Tokenizer
from dualmode.errors import UserError
from dualmode.tasks.base import SupernetTask, collect_feats


class EspnetAsrModel(AsrModel, AbsESPnetModel):
    """:class:`AsrModel` as ESPnet's trainer takes it."""

    collect_feats = staticmethod(collect_feats)


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
        group.add_argument("--token_dir", type=str_or_none, default=None, help="folder of dualmode.bin.make_tokens")
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
    def optional_data_names(cls, train: bool = True, inference: bool = False):
        return ()

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> EspnetAsrModel:
        augment = None
        if args.specaug_conf:
            try:
                specaug = SpecAug(**args.specaug_conf)
            except (TypeError, ValueError) as error:
                raise UserError(f"specaug_conf: {error}") from error

            def augment(features, lengths):
                return specaug(features, lengths)[0]

        tokenizer = Tokenizer.load(Path(args.token_dir))

        def to_words(tokens):
            return tokenizer.decode(tokens).split()

        model = build_asr_model(
            vars(args), tokenizer.tokens, cls.build_encoder(args), augment, EspnetAsrModel, to_words
        )
        cls.take_over(args, model, tokenizer.tokens)
        return model
