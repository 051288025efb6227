"""What one training hands over to the next: the encoder with its masks, and a recogniser's heads."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from dualmode.checkpoint import ENCODER, encoder_weights, find_checkpoint, load_into, load_weights, read_yaml
from dualmode.config import from_mapping
from dualmode.data.tokens import Tokenizer
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.errors import UserError

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
BATCHES = "_extra_state"  # how many a training has seen; the next one counts its own


def take_over(model: nn.Module, config: EncoderConfig, folder: Path, tokens: Sequence[str] = ()) -> None:
    """Load what fits of the model in ``folder`` into ``model``; log what is left over there, and what is new here.

    ::

        folder                    model
        encoder.*   ----------->  encoder.*      always, or a UserError
        head.*, predictor.*  -->  the same       where the token lists are equal, and the sizes too
        other       left over

    Raises:
        UserError: there is no checkpoint in ``folder``, or its encoder has other sizes or masks than ``config``.
    """
    checkpoint = find_checkpoint(folder)
    check_same_encoder(config, read_yaml(folder / "config.yaml"), folder)
    weights = load_weights(checkpoint)
    encoder: DualModeEncoder = model.encoder
    load_into(encoder, encoder_weights(weights), checkpoint)
    logging.info("the encoder's weights and masks come from %s", checkpoint)

    own = {name: tensor for name, tensor in model.state_dict().items() if is_outside_encoder(name)}
    others = {name: tensor for name, tensor in weights.items() if is_outside_encoder(name)}
    taken = {}
    if tokens and (folder / "tokens").is_dir() and Tokenizer.load(folder / "tokens").tokens == list(tokens):
        taken = {name: others[name] for name in own if name in others and others[name].shape == own[name].shape}
        model.load_state_dict(taken, strict=False)
    for text, names in (
        (f"taken from {checkpoint} as well", taken),
        (f"left over in {checkpoint}", set(others) - set(taken)),
        (f"not in {checkpoint}, so starting with new weights", set(own) - set(taken)),
    ):
        logging.info("%s: %s", text, ", ".join(sorted(names)) or "nothing")


def is_outside_encoder(name: str) -> bool:
    """Whether this entry of a state dict is a weight of what stands on the encoder."""
    return not name.startswith(ENCODER) and name != BATCHES


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
