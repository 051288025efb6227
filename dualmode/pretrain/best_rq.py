"""Targets of BEST-RQ (Chiu et al. 2022, "Self-supervised Learning with Random-projection Quantizer").

Nothing of the targets is learned, so nothing of them can collapse: a check of the whole chain as well as a training.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualmode.pretrain.codes import CodeUsage
from dualmode.pretrain.config import BestRqConfig
from dualmode.pretrain.targets import Answer
from dualmode.supernet.precision import at_least_float32


class RandomQuantizer(nn.Module):
    """The nearest entry of a random codebook to a random projection, both normalised to length 1 (equation 1)::

        codes = argmin over entries of | normalize(entry) - normalize(A x) |

    Nearest on the unit sphere is largest by inner product.  Projection and codebooks are buffers: no gradient, and in
    the checkpoint.

    Args:
        input_size: size of a frame.
        groups: codebooks, each with its own projection.
        entries: entries of each.
        size: of the projection and of the entries.
    """

    projection: Tensor  # (groups, input_size, size)
    codebook: Tensor  # (groups, entries, size)

    def __init__(self, input_size: int, groups: int, entries: int, size: int):
        super().__init__()
        projection = torch.stack([nn.init.xavier_uniform_(torch.empty(input_size, size)) for _ in range(groups)])
        self.register_buffer("projection", projection)
        self.register_buffer("codebook", F.normalize(torch.randn(groups, entries, size), dim=-1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the codes (frames, groups) of x (frames, input_size)."""
        projected = torch.einsum("fi,gis->fgs", x, self.projection)
        return torch.einsum("fgs,ges->fge", F.normalize(projected, dim=-1), self.codebook).argmax(dim=-1)


@dataclass(frozen=True)
class Codes:
    """The codes (frames, groups) that both branches of a batch must name; ``loss`` is 0."""

    codes: Tensor
    loss: Tensor
    stats: dict[str, Tensor]


class BestRqTargets(nn.Module):
    """Codes of a random quantizer, named by a softmax for each codebook.

    The frames are normalised by the training set's mean and variance, without which few codes are used.  What is hidden
    is as with the contrastive targets (:mod:`dualmode.pretrain.masking`); the paper replaces feature frames by noise.

    Args:
        encoded_size: of the encoder's output.
        frame_size: of what is quantised.
        config: settings.
    """

    def __init__(self, encoded_size: int, frame_size: int, config: BestRqConfig):
        super().__init__()
        self.quantizer = RandomQuantizer(frame_size, config.groups, config.entries, config.target_size)
        self.head = nn.Linear(encoded_size, config.groups * config.entries)
        self.usage = CodeUsage(config.groups, config.entries)
        self.names = ["chance", *self.usage.names]

    def draw(self, frames: Tensor, utterance: Tensor, step: int) -> Codes:
        """Quantise frames (frames, frame_size).  Chance is always naming the code that was most frequent so far."""
        codes = self.quantizer(frames)
        stats = self.usage(codes)
        return Codes(codes, frames.new_zeros(()), {"chance": self.usage.constant_answer(codes), **stats})

    def absent(self) -> None:
        """Take part in counting codes, without any."""
        self.usage.absent()

    def compare(self, encoded: Tensor, drawn: Codes, branch: str) -> Answer:
        """Compare any branch's outputs at the frames (frames, encoded_size) with the codes."""
        groups = drawn.codes.shape[1]
        logits = at_least_float32(self.head(encoded)).unflatten(1, (groups, -1)).flatten(0, 1)
        codes = drawn.codes.flatten()
        losses = F.cross_entropy(logits, codes, reduction="none").view(-1, groups)
        right = (logits.argmax(dim=-1) == codes).float().view(-1, groups)
        return Answer(losses.mean(dim=1), right.mean(dim=1))
