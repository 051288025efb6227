"""What one training hands over to the next: the encoder with its masks, and a recogniser's heads."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.draws import OWN, TRAINING_ONLY
from dualmode.encoder.two_branch import TwoBranchModel
from dualmode.errors import UserError
from dualmode.models.folder import ModelFolder
from dualmode.models.weights import ENCODER, encoder_weights, load_into
from dualmode.tasks.start import starting_config, starting_weights

BATCHES = "_extra_state"  # how many a training has seen; the next one counts its own


def inherited(conf: Mapping, theirs: EncoderConfig) -> dict:
    """Return ``conf``, an encoder_conf, completed by sizes, masks and contexts of the model that it starts from.

    Dropout, precision and the like are each training's own.  Keys that are given stay, and :func:`check_same_encoder`
    says which of them do not fit.
    """
    return {**{key: value for key, value in theirs.to_dict().items() if key not in OWN}, **conf}


def take_over(model: TwoBranchModel, config: EncoderConfig, folder: Path, tokens: Sequence[str] = ()) -> None:
    """Load what fits of the model in ``folder`` into ``model``; log what is left over there, and what is new here.

    ::

        folder                    model
        encoder.*   ----------->  encoder.*      always, or a UserError
        head.*, predictor.*  -->  the same       where the token lists are equal, and the sizes too
        other       left over

    Raises:
        UserError: there is no checkpoint in ``folder``, or its encoder has other sizes or masks than ``config``.
    """
    opened = ModelFolder.open(folder)
    checkpoint = opened.checkpoint
    check_same_encoder(config, starting_config(opened), str(folder))
    weights = starting_weights(opened)
    load_into(model.encoder, encoder_weights(weights), checkpoint)
    logging.info("the encoder's weights and masks come from %s", checkpoint)

    own = {name: tensor for name, tensor in model.state_dict().items() if is_outside_encoder(name)}
    others = {name: tensor for name, tensor in weights.items() if is_outside_encoder(name)}
    taken: dict[str, Tensor] = {}
    if tokens and opened.has_tokens and opened.tokenizer.tokens != list(tokens):
        count = len(opened.tokenizer.tokens)
        print(f"the head of {folder} is left behind: it has other tokens ({count}, and {len(tokens)} here)", flush=True)
    if tokens and opened.has_tokens and opened.tokenizer.tokens == list(tokens):
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


def check_same_encoder(config: EncoderConfig, theirs: EncoderConfig, where: str) -> None:
    """Raise UserError if the encoder ``where`` has other sizes or masks than ``config``; names both."""
    mine = config.to_dict()
    for key, value in theirs.to_dict().items():
        if key not in TRAINING_ONLY and mine[key] != value:
            raise UserError(
                f"the encoder in {where} has {key} {value}, but this configuration has {mine[key]}: "
                "make encoder_conf the same in both YAML files"
            )
