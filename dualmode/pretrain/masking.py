"""Which frames the pre-training hides, and what of the features lies under them.

An encoder frame's target is made of the four middle ones of the seven feature frames that it sees.  Those of a hidden
frame are hidden from its neighbours as well, which see three of the seven too::

    feature frames     0 1 2 3 4 5 6 7 8 9 10 11 12 13 14
    encoder frame 0    x x x x x x x
    encoder frame 1            x x x x x x x                  hidden: features 6 to 9
    encoder frame 2                    x x x x  x  x  x

Hiding after the subsampling alone would leave three of a lone hidden frame's four readable in the frames beside it, and
three of the twenty of a span of five.
"""

import contextlib
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from dualmode.encoder.padding import valid_frames
from dualmode.frames import FACTOR

FIRST = 2  # of an encoder frame's feature frames, the first that belongs to its target


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


def features_under(hidden: Tensor, count: int) -> Tensor:
    """Return which of ``count`` feature frames belong to the targets of the hidden encoder frames (batch, frames).

    >>> features_under(torch.tensor([[False, True, False]]), 11).int()
    tensor([[0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0]], dtype=torch.int32)
    """
    under = F.pad(hidden.repeat_interleave(FACTOR, dim=1), (FIRST, 0))[:, :count]
    return F.pad(under, (0, count - under.shape[1]))


def at_edges(hidden: Tensor, valid: Tensor) -> Tensor:
    """Return which of the hidden frames (batch, frames) have a visible frame of the utterance beside them.

    >>> hidden = torch.tensor([[True, True, False, True, True, True, False]])
    >>> at_edges(hidden, torch.tensor([[True, True, True, True, True, True, False]])).int()
    tensor([[0, 1, 0, 1, 0, 0, 0]], dtype=torch.int32)

    Args:
        hidden: (batch, frames).
        valid: (batch, frames), which frames are real.
    """
    visible = F.pad(valid & ~hidden, (1, 1))
    return hidden & (visible[:, :-2] | visible[:, 2:])


@contextlib.contextmanager
def fixed_draws(lengths: Tensor) -> Iterator[None]:
    """Draw the same random numbers whenever the batch has these ``lengths`` (batch,); afterwards nothing is changed."""
    devices = [lengths.device] if lengths.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(int(lengths.sum()))
        yield


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
