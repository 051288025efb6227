"""Targets of the contrastive pre-training: frames as entries of a product codebook."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualmode.pretrain.codes import mean_of_all_processes, perplexity
from dualmode.supernet.precision import at_least_float32


@dataclass(frozen=True)
class Quantized:
    """Quantised frames.

    Attributes:
        vectors: (frames, size), differentiable by the straight-through estimator.
        codes: (frames, groups), the chosen entries.
        perplexity: (groups,), exp of the entropy of the mean softmax over the frames, in training those of all
            processes; between 1 and ``entries``; differentiable, for the diversity loss.
    """

    vectors: Tensor
    codes: Tensor
    perplexity: Tensor


class GumbelQuantizer(nn.Module):
    """Product quantizer of wav2vec 2.0: an entry of each group is chosen by a Gumbel softmax, then joined.

    Args:
        input_size: size of a frame.
        groups: codebooks.
        entries: entries of each codebook.
        size: of the quantised vector; a multiple of ``groups``.
    """

    def __init__(self, input_size: int, groups: int, entries: int, size: int):
        super().__init__()
        self.groups, self.entries = groups, entries
        self.logits = nn.Linear(input_size, groups * entries)
        # Logits of a spread of 8 on normalised input: Gumbel noise (spread 1.3) seldom overrules the clear choices.
        nn.init.normal_(self.logits.weight, std=8.0 * input_size**-0.5)
        nn.init.zeros_(self.logits.bias)
        self.codebook = nn.Parameter(torch.randn(groups, entries, size // groups))
        self.project = nn.Linear(size, size)

    def forward(self, x: Tensor, temperature: float) -> Quantized:
        """Quantise x (frames, input_size).  While training, noise of ``temperature`` explores the entries."""
        logits = at_least_float32(self.logits(x)).view(-1, self.groups, self.entries)
        codes = logits.argmax(dim=-1)
        if self.training:
            chosen = F.gumbel_softmax(logits, tau=temperature, hard=True)
            codes = chosen.argmax(dim=-1)
        else:
            chosen = F.one_hot(codes, self.entries).to(logits.dtype)
        vectors = torch.einsum("fge,ges->fgs", chosen, self.codebook).flatten(1)
        softmax = logits.softmax(dim=-1)
        mean = mean_of_all_processes(softmax) if self.training else softmax.mean(dim=0)
        return Quantized(self.project(vectors), codes, perplexity(mean))

    def absent(self) -> None:
        """Take part, in the place of :meth:`forward`, in what processes exchange: this one has no frames."""
        mean_of_all_processes(self.codebook.new_zeros(0, self.groups, self.entries))
