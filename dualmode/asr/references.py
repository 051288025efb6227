"""What the utterances of a batch say, and which of them no loss can be taken of."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dualmode.data.transcript_length import frames_needed
from dualmode.errors import UserError
from dualmode.frames import FRAME_MS


@dataclass(frozen=True)
class References:
    """What the utterances of a batch should be recognised as, and the lengths on both sides.

    Attributes:
        names: of the utterances, for messages.
        frames: (batch,), real encoder frames of 40 ms.
        text: (batch, tokens), padded with anything.
        tokens: (batch,), real tokens.
        losses: of each utterance, (batch,), by kind.
    """

    names: Sequence[str]
    frames: Tensor
    text: Tensor
    tokens: Tensor
    losses: list[tuple[str, Tensor]] = field(default_factory=list)

    def as_lists(self, count: int | None = None) -> list[list[int]]:
        """Return the real tokens of the first ``count`` utterances, by default of all."""
        rows, lengths = self.text[:count].tolist(), self.tokens[:count].tolist()
        return [row[:length] for row, length in zip(rows, lengths, strict=True)]

    def check_lengths(self, ctc: bool) -> None:
        """Raise UserError for the first utterance that has too few frames for its transcript.

        Args:
            ctc: whether there is a CTC loss; the RNN-T needs but one frame.
        """
        for name, frames, tokens in zip(self.names, self.frames.tolist(), self.as_lists(), strict=True):
            needed = max(frames_needed(tokens) if ctc else 0, 1)
            if frames < needed:
                raise UserError(
                    f"utterance {name} has {frames} encoder frames of {FRAME_MS} ms, but its {len(tokens)} tokens need "
                    f"{needed}: take it out of the data (dualmode make-fbank --tokens does)"
                )

    def note(self, losses: Tensor, kind: str) -> None:
        """Remember losses (batch,) for :meth:`fault`."""
        self.losses.append((kind, losses.detach()))

    def fault(self) -> str | None:
        """Return a sentence on the first utterance with a loss that is infinite or no number; None where there is none.

        Waits for the device, so it is asked once, when all losses have been computed.
        """
        finite = torch.stack([losses.isfinite() for _, losses in self.losses])
        if finite.all():
            return None
        number, worst = (int(index) for index in (~finite).nonzero()[0])
        kind, losses = self.losses[number]
        return (
            f"the {kind} loss of utterance {self.names[worst]} is {losses[worst].item()}: either its features are "
            "not finite, or the training has diverged; a lower learning rate may help"
        )
