"""A recogniser from its configuration: the same function for training, decoding and export."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from dualmode.asr.config import AsrConfig
from dualmode.asr.model import AsrModel
from dualmode.config import from_mapping
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.encoder.two_branch import BranchWeights
from dualmode.errors import UserError
from dualmode.supernet.pruning import PruningSchedule

# What a recogniser is built from, and its seed; the rest of a training's configuration is about the training.
BUILT_FROM = ("encoder_conf", "model_conf", "pruning_conf", "branch_conf", "seed")


def build_encoder(conf: Mapping) -> DualModeEncoder:
    """Build an encoder with new weights from ``conf["encoder_conf"]``; a bad key or value is a UserError."""
    return DualModeEncoder(from_mapping(EncoderConfig, conf.get("encoder_conf") or {}, "encoder_conf"))


def build_asr_model(
    conf: Mapping,
    tokens: Sequence[str],
    encoder: DualModeEncoder | None = None,
    augment: Callable | None = None,
    cls: type[AsrModel] = AsrModel,
    to_words: Callable[[Sequence[int]], list[str]] | None = None,
) -> AsrModel:
    """Build a recogniser with new weights from a training's configuration.

    Args:
        conf: holds encoder_conf, model_conf, pruning_conf and branch_conf, as in ``conf/tuning/*.yaml``.
        tokens: the vocabulary.
        encoder: an encoder built already; by default one is built from encoder_conf.
        augment, to_words: see :class:`AsrModel`.
        cls: the class to build.

    Raises:
        UserError: an unknown key or an impossible value, named, or sizes for which there is no memory.
    """
    config = from_mapping(AsrConfig, conf.get("model_conf") or {}, "model_conf")
    schedule = from_mapping(PruningSchedule, conf.get("pruning_conf") or {}, "pruning_conf")
    branches = from_mapping(BranchWeights, conf.get("branch_conf") or {}, "branch_conf")
    with _memory():
        encoder = build_encoder(conf) if encoder is None else encoder
        return cls(encoder, tokens, config, schedule, branches, augment=augment, to_words=to_words)


@contextlib.contextmanager
def _memory() -> Iterator[None]:
    """Say in a sentence that there is no memory for a model, which torch does with a RuntimeError of its own."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and "allocate" not in str(error):
            raise
        raise UserError(
            "there is no memory for a model of these sizes (encoder_conf, model_conf): are they those of its training?"
        ) from error
