"""ESPnet task of the supernet's pre-training."""

import argparse

from espnet2.train.abs_espnet_model import AbsESPnetModel

from dualmode.encoder.config import from_mapping
from dualmode.pretrain.model import PretrainConfig, PretrainModel
from dualmode.supernet.pruning import PruningSchedule
from dualmode.supernet.self_pruning import BranchWeights
from dualmode.tasks.base import SupernetTask, collect_feats


class EspnetPretrainModel(PretrainModel, AbsESPnetModel):
    """:class:`PretrainModel` as ESPnet's trainer takes it."""

    collect_feats = staticmethod(collect_feats)


class PretrainTask(SupernetTask):
    """Pre-training on features without text."""

    @classmethod
    def build_preprocess_fn(cls, args: argparse.Namespace, train: bool):
        return None

    @classmethod
    def required_data_names(cls, train: bool = True, inference: bool = False):
        return ("speech",)

    @classmethod
    def optional_data_names(cls, train: bool = True, inference: bool = False):
        return ()

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> EspnetPretrainModel:
        return EspnetPretrainModel(
            encoder=cls.build_encoder(args),
            config=from_mapping(PretrainConfig, args.model_conf, "model_conf"),
            schedule=from_mapping(PruningSchedule, args.pruning_conf, "pruning_conf"),
            branches=from_mapping(BranchWeights, args.branch_conf, "branch_conf"),
        )
