"""The contrastive task: which of several quantised frames is the hidden one?"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


def sample_distractors(utterance: Tensor, count: int) -> Tensor:
    """Draw ``count`` other hidden frames of the same utterance for each hidden frame, with replacement.

    Args:
        utterance: (frames,), ascending: which utterance of the batch each hidden frame belongs to.  Every utterance
            has at least two (a single one has no distractors; the caller leaves it out).
        count: distractors of a frame.

    Returns:
        (frames, count) indices into the hidden frames, never a frame's own.
    """
    _, inverse, sizes = torch.unique_consecutive(utterance, return_inverse=True, return_counts=True)
    first = sizes.cumsum(0) - sizes
    size, first = sizes[inverse], first[inverse]
    rank = torch.arange(len(utterance), device=utterance.device) - first
    draws = (torch.rand(len(utterance), count, device=utterance.device) * (size - 1)[:, None]).long()
    # rand() * (n - 1) may round up to n - 1 in float32.
    draws = torch.minimum(draws, (size - 2)[:, None])
    draws = draws + (draws >= rank[:, None]).long()
    return draws + first[:, None]


@dataclass(frozen=True)
class Contrast:
    """Result of the task: mean cross entropy (nats), and the share of frames told right."""

    loss: Tensor
    accuracy: Tensor


def contrastive_loss(context: Tensor, targets: Tensor, codes: Tensor, distractors: Tensor, scale: float) -> Contrast:
    """Cross entropy of choosing the true target by cosine similarity (wav2vec 2.0, equation 3).

    Args:
        context: (frames, size), a branch's outputs at the hidden frames.
        targets: (frames, size), the quantised frames.
        codes: (frames, groups).  A distractor with the same codes as the target is the target, and is left out.
        distractors: (frames, count) indices into ``targets``.
        scale: what similarities are divided by (kappa, 0.1 in the paper).
    """
    context, targets = F.normalize(context.float(), dim=-1), F.normalize(targets.float(), dim=-1)
    positive = (context * targets).sum(dim=-1, keepdim=True)
    negative = torch.einsum("fs,fcs->fc", context, targets[distractors])
    twins = (codes[distractors] == codes[:, None]).all(dim=-1)
    logits = torch.cat([positive, negative.masked_fill(twins, float("-inf"))], dim=1) / scale
    right = (logits[:, :1] > logits[:, 1:]).all(dim=1) & ~twins.all(dim=1)
    loss = F.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long))
    return Contrast(loss, right.float().mean())
