"""The supernet encoder as an ESPnet encoder."""

import espnet2.asr.encoder.abs_encoder as espnet
import torch

from dualmode.config import from_mapping
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.supernet.subnet import Context, Subnet

NAME = "dualmode_conformer"


class EspnetEncoder(DualModeEncoder, espnet.AbsEncoder):
    """:class:`DualModeEncoder` with ESPnet's constructor and forward pass.

    Keyword arguments are those of :class:`EncoderConfig`.  ESPnet's ``forward`` has no place for a sub-network, so the
    one it runs is chosen here.

    Args:
        sparsity: of the sub-network that ``forward`` runs; 0 is dense.
        run_chunk_ms: its chunk in ms; None is the full context.
        run_left_ms: its left context in ms.
    """

    def __init__(self, input_size: int = 80, sparsity: float = 0.0, run_chunk_ms=None, run_left_ms=None, **conf):
        super().__init__(from_mapping(EncoderConfig, {"input_size": input_size, **conf}, "encoder_conf"))
        self.subnet = Subnet(sparsity, Context.from_ms(run_chunk_ms, run_left_ms))
        self.config.level(sparsity)

    def output_size(self) -> int:
        return self.config.output_size

    def forward(  # type: ignore[override]  # ESPnet's arguments
        self, xs_pad: torch.Tensor, ilens: torch.Tensor, prev_states: torch.Tensor = None
    ):
        """Map features (batch, frames, bins) to (batch, frames of 40 ms, d), their lengths, and None."""
        encoded, lengths = super().forward(xs_pad, ilens, self.subnet)
        return encoded, lengths, None


def register() -> None:
    """Add the encoder to the choices of ESPnet's own recognition task, as ``--encoder dualmode_conformer``."""
    from espnet2.tasks.asr import encoder_choices  # takes seconds to import, and only this needs it

    encoder_choices.classes[NAME] = EspnetEncoder
