"""Which frames the pre-training hides."""

import torch
from torch import Tensor

from dualmode.encoder.padding import valid_frames


def span_mask(lengths: Tensor, frames: int, start_probability: float, span: int) -> Tensor:
    """Draw the frames to hide, as spans that may overlap, inside the real frames of each utterance.

    wav2vec 2.0 (Baevski et al. 2020) starts a span of 10 frames of 20 ms at 6.5 % of them and hides about half; the
    same share and length in encoder frames of 40 ms are a span of 5 at 13 %.

    Args:
        lengths: (batch,), real frames of 40 ms.
        frames: padded size.
        start_probability: of a span to start at a frame.
        span: frames of a span.

    Returns:
        (batch, frames) booleans.  An utterance of at least ``span`` frames has at least one span; a shorter one none.
    """
    starts_valid = valid_frames(lengths - span + 1, frames)
    scores = torch.rand(lengths.shape[0], frames, device=lengths.device).masked_fill(~starts_valid, 2.0)
    starts = scores < start_probability
    # The lowest score always starts a span, so that no utterance that can have one goes without.
    starts |= (scores == scores.min(dim=1, keepdim=True).values) & starts_valid
    hidden = torch.zeros_like(starts)
    for shift in range(min(span, frames)):
        hidden[:, shift:] |= starts[:, : frames - shift]
    return hidden
