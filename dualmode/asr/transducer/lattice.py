"""The lattice of an RNN-T, reduced to what its losses need.

At node (t, u) of an utterance, frame t has been reached and u tokens are out.  Of the joiner's distribution over the
whole vocabulary only three events matter: the correct next token (one step up), the blank (one step to the right),
and anything else, which leads to no transcript::

    u=2   o --> o --> o --> o -->   end        -->  blank
          ^     ^     ^     ^                   ^   label
    u=1   o --> o --> o --> o
          ^     ^     ^     ^
    u=0   o --> o --> o --> o
         t=0   t=1   t=2   t=3

The loss needs the first two, distillation in the collapsed form of Panchapagesan et al. (2021) all three.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from dualmode.asr.ctc import BLANK
from dualmode.asr.transducer.joiner import Joiner
from dualmode.encoder.padding import valid_frames
from dualmode.supernet.precision import at_least_float32

IMPOSSIBLE = -1e4  # log probability whose exponential is 0; finite, so that 0 times it is 0


@dataclass(frozen=True)
class Lattice:
    """Log probabilities (batch, frames, U + 1, 3) of label, blank and rest at each node, in float32.

    In row u = (the utterance's tokens) the label is impossible.  Padded nodes have no meaning.
    """

    log_probs: Tensor

    @property
    def label(self) -> Tensor:
        return self.log_probs[..., 0]

    @property
    def blank(self) -> Tensor:
        return self.log_probs[..., 1]


class _CollapseVocabulary(torch.autograd.Function):
    """:func:`collapse_vocabulary` of float32 logits; keeps the logits for the gradient, nothing else of that size."""

    @staticmethod
    def forward(ctx, logits: Tensor, following: Tensor) -> Tensor:
        index = following[..., None]
        label = logits.gather(-1, index).masked_fill(index == BLANK, IMPOSSIBLE)
        blank = logits[..., BLANK : BLANK + 1]
        rest = logits.scatter(-1, index, IMPOSSIBLE)[..., BLANK + 1 :].logsumexp(dim=-1, keepdim=True)
        collapsed = torch.cat([label, blank, rest], dim=-1)
        collapsed -= collapsed.logsumexp(dim=-1, keepdim=True)
        ctx.save_for_backward(logits, index, collapsed)
        return collapsed

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        # An event e is a set of tokens: d log P(e) / d logit k = P(k | e) - P(k).
        logits, index, collapsed = ctx.saved_tensors
        by_label, by_blank, by_rest = gradient.masked_fill(collapsed <= IMPOSSIBLE / 2, 0.0).split(1, dim=-1)
        total = by_label + by_blank + by_rest
        p_label, p_blank, p_rest = collapsed.exp().split(1, dim=-1)
        log_normaliser = logits[..., BLANK : BLANK + 1] - collapsed[..., 1:2]
        p = (logits - log_normaliser).exp_()
        p *= by_rest / p_rest.clamp(min=1e-30) - total  # P(k) underflows with P(rest), which may then not divide it
        p.scatter_(-1, index, by_label - p_label * total)
        p[..., BLANK : BLANK + 1] = by_blank - p_blank * total
        return p, None


def collapse_vocabulary(logits: Tensor, following: Tensor) -> Tensor:
    """Return the log probabilities (..., 3) of label, blank and rest.

    Args:
        logits: (..., vocabulary), of at least 3 tokens.
        following: (...), the correct next token, or the blank where there is none.
    """
    return _CollapseVocabulary.apply(at_least_float32(logits), following)


def make_lattice(
    joiner: Joiner, encoded: Tensor, predicted: Tensor, targets: Tensor, tokens: Tensor, max_cells: int
) -> Lattice:
    """Run the joiner at every node of every utterance.

    A distribution over the vocabulary is far larger than the three numbers that are kept of it.  A lattice of more than
    ``max_cells`` nodes is therefore cut into spans of frames, whose distributions are computed one after the other,
    dropped, and computed again for the gradient.  The result does not depend on ``max_cells``.

    Args:
        joiner: gives the logits.
        encoded: (batch, frames, d).
        predicted: (batch, U + 1, p).
        targets: (batch, U), padded with anything.
        tokens: (batch,), real tokens.
        max_cells: nodes at a time, but one frame of the batch at least.
    """
    batch, frames, rows = len(encoded), encoded.shape[1], predicted.shape[1]
    real = valid_frames(tokens, rows)
    following = torch.cat([targets, targets.new_full((batch, 1), BLANK)], dim=1).masked_fill(~real, BLANK)

    def span(part: Tensor, predicted: Tensor) -> Tensor:
        logits = joiner(part[:, :, None], predicted[:, None])
        return collapse_vocabulary(logits, following[:, None].expand(logits.shape[:-1]))

    size = max(1, max_cells // (batch * rows))
    if size >= frames:
        return Lattice(span(encoded, predicted))
    spans = [checkpoint(span, part, predicted, use_reentrant=False) for part in encoded.split(size, dim=1)]
    return Lattice(torch.cat(spans, dim=1))
