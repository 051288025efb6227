"""CTC (Graves et al. 2006): loss, and greedy decoding that works on whole utterances and on streams alike."""

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from dualmode.encoder.padding import valid_frames

BLANK = 0


def ctc_losses(log_probs: Tensor, frames: Tensor, targets: Tensor, tokens: Tensor) -> Tensor:
    """Return each utterance's negative log likelihood in nats, (batch,); infinite if its frames cannot spell it.

    Args:
        log_probs: (batch, frames, vocabulary).
        frames: (batch,), real frames.
        targets: (batch, tokens), padded with anything.
        tokens: (batch,), real tokens.
    """
    return F.ctc_loss(log_probs.transpose(0, 1), targets, frames, tokens, blank=BLANK, reduction="none")


def confidence_penalties(log_probs: Tensor, frames: Tensor) -> Tensor:
    """Return KL(posteriors || uniform) in nats, summed over each utterance's real frames, (batch,).

    CTC has no label at a frame that could be smoothed; this is what takes its place (Kim et al. 2018, "Improved
    training for online end-to-end speech recognition systems").

    Args:
        log_probs: (batch, frames, vocabulary).
        frames: (batch,), real frames.
    """
    divergence = math.log(log_probs.shape[-1]) + (log_probs.exp() * log_probs).sum(dim=-1)
    return divergence.masked_fill(~valid_frames(frames, log_probs.shape[1]), 0.0).sum(dim=1)


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
