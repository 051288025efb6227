"""What a kind of targets must do; :mod:`contrastive` and :mod:`best_rq` are the two kinds.

A batch draws once and compares each branch with the same draw::

    drawn = targets.draw(frames, utterance, step)
    for each branch:  targets.compare(encoded, drawn, branch)
"""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Answer:
    """How well a branch does at each frame.

    Attributes:
        losses: (frames,), cross entropy in nats; with several codebooks, their mean.
        right: (frames,), 1 where it was told right, 0 where not; with several codebooks, their mean.
    """

    losses: Tensor
    right: Tensor


class Drawn(Protocol):
    """The targets of a batch: a loss () of their own (0 if nothing in them is learned) and values to log.

    The values always hold ``chance``, the accuracy of an answer that does not look at the encoder's output.
    """

    loss: Tensor
    stats: dict[str, Tensor]


class Targets(Protocol):
    """A module that makes targets of frames and compares branches with them.

    Attributes:
        names: of the values that ``draw`` has to log.
    """

    names: list[str]

    def draw(self, frames: Tensor, utterance: Tensor, step: int) -> Drawn:
        """Make targets of frames (frames, frame_size) of ``utterance`` (frames,) for update ``step``."""

    def absent(self) -> None:
        """Take part, in the place of ``draw``, in what processes exchange in training: this one hides no frame."""

    def compare(self, encoded: Tensor, drawn: Drawn, branch: str) -> Answer:
        """Compare outputs (frames, encoded_size) of "dense" or "sparse" at the same frames with the targets."""
