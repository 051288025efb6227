"""Do the configurations of a recipe hold, each for itself and together?  Looked at before hours of work, not after."""

import argparse
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dualmode.config import from_mapping
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.prunable import with_rule
from dualmode.errors import UserError
from dualmode.models.choice import check_trained
from dualmode.models.yaml_file import read_yaml
from dualmode.supernet.subnet import Subnet
from dualmode.tasks.base import SupernetTask
from dualmode.tasks.hand_over import check_same_encoder, inherited
from dualmode.tasks.settings import (
    check_criteria,
    check_names,
    check_optimiser,
    check_values,
    numbers_in_settings,
    refuse_unheeded,
)


@contextlib.contextmanager
def named(where: str) -> Iterator[None]:
    """Put ``where`` in front of a UserError raised inside."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def settings_of(task: type[SupernetTask], config: Path, options: Sequence[str]) -> argparse.Namespace:
    """Return a training's settings as ESPnet reads them, all but the encoder's checked; a bad one is a UserError."""
    check_names(task, config, options)
    parser, written = task.get_parser(), read_yaml(config)
    with named(str(config)):
        check_values(parser, written)
    with named(f"{config} with {' '.join(options)}" if options else str(config)):
        resume = [] if "resume" in written else ["--resume", "true"]  # as every training here has it
        args = task.get_parser().parse_args(["--config", str(config), *resume, *options])
        check_values(parser, vars(args))
        refuse_unheeded(args)
        if not args.resume:
            raise UserError(
                "resume: false would train anew over what is in the folder: train into another one, or remove it"
            )
        numbers_in_settings(args)
        check_optimiser(args)
        check_criteria(args)
        task.check_settings(args)
    return args


def pruned_config(trained: EncoderConfig, prune: Mapping, where: str) -> EncoderConfig:
    """Return the encoder's configuration after stage 3; ``prune`` holds what its YAML says."""
    with named(where):
        return from_mapping(EncoderConfig, with_rule(trained.to_dict(), prune), "encoder_conf")


def trained_config(conf: Mapping, start: EncoderConfig | None, where: str, start_where: str) -> EncoderConfig:
    """Return the encoder's configuration of a training, stage 2 or 4.

    Args:
        conf: encoder_conf of its YAML.
        start: that of what it starts from; None for random weights.
        where, start_where: for messages.

    Raises:
        UserError: it asks for other sizes or masks than it starts from.
    """
    with named(where):
        config = from_mapping(EncoderConfig, conf if start is None else inherited(conf, start), "encoder_conf")
        if start is not None:
            check_same_encoder(config, start, start_where)
        return config


def check_decoding(config: EncoderConfig, subnet: Subnet, where: str) -> None:
    """Raise UserError if a decoding asks for a sub-network that the supernet is not trained to be."""
    with named(where):
        check_trained(config, subnet)
