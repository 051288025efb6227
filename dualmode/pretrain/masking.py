"""Which frames the pre-training hides."""

import torch
from torch import Tensor

from dualmode.encoder.padding import valid_frames


def span_mask(lengths: Tensor, frames: int, start_probability: float, span: int, gap: int | None = None) -> Tensor:
    """Draw the frames to hide, as spans inside the real frames of each utterance.

    With ``span=3``, the same starts (``s``) without and with ``gap=1``::

        starts       . s . s . . . s . .
        gap None     . x x x x x . x x x      spans may overlap (wav2vec 2.0)
        gap 1        . x x x . . . x x x      the start inside the first span is dropped

    Args:
        lengths: (batch,), real frames of 40 ms.
        frames: padded size.
        start_probability: of a span to start at a frame.
        span: frames of a span.
        gap: fewest visible frames between two spans; None lets spans overlap.

    Returns:
        (batch, frames) booleans.  An utterance of at least ``span`` frames has at least one span; a shorter one none.
    """
    starts_valid = valid_frames(lengths - span + 1, frames)
    scores = torch.rand(lengths.shape[0], frames, device=lengths.device).masked_fill(~starts_valid, 2.0)
    starts = scores < start_probability
    # The lowest score always starts a span, so that no utterance that can have one goes without.
    starts |= (scores == scores.min(dim=1, keepdim=True).values) & starts_valid
    if gap is not None:
        starts = keep_apart(starts, span + gap)
    hidden = torch.zeros_like(starts)
    for shift in range(min(span, frames)):
        hidden[:, shift:] |= starts[:, : frames - shift]
    return hidden


def keep_apart(starts: Tensor, distance: int) -> Tensor:
    """Drop the starts (batch, frames) that follow a kept one of the same utterance by less than ``distance`` frames.

    >>> keep_apart(torch.tensor([[1, 0, 1, 1]]).bool(), 3).int()
    tensor([[1, 0, 0, 1]], dtype=torch.int32)
    """
    kept = starts.cpu().clone()  # one frame after the other: many small steps, which a GPU is slow at
    wait = torch.zeros(len(kept), dtype=torch.long)
    for frame in range(kept.shape[1]):
        kept[:, frame] &= wait == 0
        wait = torch.where(kept[:, frame], distance - 1, (wait - 1).clamp(min=0))
    return kept.to(starts.device)
