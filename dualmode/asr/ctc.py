"""CTC (Graves et al. 2006): loss, and greedy decoding that works on whole utterances and on streams alike."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

BLANK = 0


def ctc_loss(log_probs: Tensor, frames: Tensor, targets: Tensor, tokens: Tensor) -> Tensor:
    """Return the mean over the batch of an utterance's negative log likelihood in nats.

    Args:
        log_probs: (batch, frames, vocabulary).
        frames: (batch,), real frames.
        targets: (batch, tokens), padded with anything.
        tokens: (batch,), real tokens.
    """
    losses = F.ctc_loss(log_probs.transpose(0, 1), targets, frames, tokens, blank=BLANK, reduction="none")
    return losses.mean()


def collapse(best: Sequence[int], previous: int = BLANK) -> list[int]:
    """Return the tokens of a frame-wise best path: repeats joined, blanks removed.

    Args:
        best: the best token of each frame.
        previous: the best token of the frame before the first one, for a stream cut into chunks.

    >>> collapse([0, 7, 7, 0, 7, 5, 5])
    [7, 7, 5]
    """
    tokens = []
    for token in best:
        if token != previous and token != BLANK:
            tokens.append(token)
        previous = token
    return tokens


def greedy(log_probs: Tensor, frames: Tensor) -> list[list[int]]:
    """Return the tokens of each utterance's best path in log_probs (batch, frames, vocabulary)."""
    best = log_probs.argmax(dim=-1).cpu()
    return [collapse(row[:length].tolist()) for row, length in zip(best, frames.tolist(), strict=True)]


def distillation(student: Tensor, teacher: Tensor, valid: Tensor) -> Tensor:
    """Return KL(teacher || student) in nats, summed over an utterance's real frames, averaged over the batch.

    In-place distillation of Yu et al. (2021), "Dual-mode ASR", on CTC posteriors; no gradient reaches the teacher.

    Args:
        student, teacher: log posteriors (batch, frames, vocabulary).
        valid: (batch, frames), which frames are real.
    """
    frames = F.kl_div(student, teacher.detach(), reduction="none", log_target=True).sum(dim=-1)
    return frames.masked_fill(~valid, 0.0).sum() / len(frames)
