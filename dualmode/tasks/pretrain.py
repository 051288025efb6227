"""ESPnet task of the supernet's pre-training."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from espnet2.train.abs_espnet_model import AbsESPnetModel
from espnet2.train.reporter import SubReporter
from espnet2.utils.nested_dict_action import NestedDictAction

from dualmode.config import from_mapping
from dualmode.encoder.two_branch import BranchWeights
from dualmode.errors import UserError
from dualmode.pretrain.alarm import AlarmConfig
from dualmode.pretrain.config import read_config
from dualmode.pretrain.model import PretrainModel
from dualmode.supernet.pruning import PruningSchedule
from dualmode.tasks.alarm import Alarm
from dualmode.tasks.base import SupernetTask, collect_feats
from dualmode.tasks.trainer import SupernetOptions, SupernetTrainer


class EspnetPretrainModel(PretrainModel, AbsESPnetModel):
    """:class:`PretrainModel` as ESPnet's trainer takes it."""

    collect_feats = staticmethod(collect_feats)


@dataclass
class PretrainOptions(SupernetOptions):
    """Options with the settings of the alarm."""

    alarm: AlarmConfig


class PretrainTrainer(SupernetTrainer):
    """Trainer that warns when the codes collapse or nothing is learned."""

    options_class = PretrainOptions

    @classmethod
    def build_options(cls, args: argparse.Namespace) -> PretrainOptions:
        args.alarm = from_mapping(AlarmConfig, args.alarm_conf, "alarm_conf")
        return super().build_options(args)

    @classmethod
    def watcher(cls, options: PretrainOptions) -> Callable[[SubReporter], None]:
        return Alarm(options.alarm).watch


class PretrainTask(SupernetTask):
    """Pre-training on features without text."""

    trainer = PretrainTrainer

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser):
        group = super().add_task_arguments(parser)
        group.add_argument(
            "--alarm_conf",
            action=NestedDictAction,
            default={},
            help="range of a healthy training: after, window in updates, min_perplexity, min_accuracy, max_accuracy, "
            "and whether to stop outside it",
        )
        return group

    @classmethod
    def build_preprocess_fn(cls, args: argparse.Namespace, train: bool):
        return None

    @classmethod
    def required_data_names(cls, train: bool = True, inference: bool = False):
        return ("speech",)

    @classmethod
    def check_settings(cls, args: argparse.Namespace) -> None:
        super().check_settings(args)
        config, branches = read_config(args.model_conf), from_mapping(BranchWeights, args.branch_conf, "branch_conf")
        if getattr(config, "quantizer_hears", "both") == "dense" and not branches.dense:
            raise UserError(
                "model_conf: quantizer_hears is 'dense' and branch_conf does not run that branch (dense: 0): the "
                "quantizer would learn nothing; set quantizer_hears to both"
            )
        from_mapping(AlarmConfig, args.alarm_conf, "alarm_conf")

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> EspnetPretrainModel:
        model = EspnetPretrainModel(
            encoder=cls.build_encoder(args),
            config=read_config(args.model_conf),
            schedule=from_mapping(PruningSchedule, args.pruning_conf, "pruning_conf"),
            branches=from_mapping(BranchWeights, args.branch_conf, "branch_conf"),
        )
        cls.take_over(args, model)
        return model
