"""A flat start: what an encoder that knows nothing is told about when each token is said.

CTC alone finds alignments and letters at once.  From random weights its first gradients say little but "more blanks
here, fewer there", which loudness answers, and with some seeds the subsampling ends up passing on loudness and not
much else.  A training then stays where it knows vowels from consonants and hardly one letter from another.  HTK and
Kaldi begin with equal parts of the utterance for each state; so does this, softly, and only for the first updates.
Utterance of 6 frames, text "nine", each column a frame's target; blanks have no part in it::

    n   0.45  0.34  0.24  0.15  0.09  0.05
    i   0.34  0.34  0.32  0.28  0.22  0.16
    n   0.16  0.22  0.28  0.32  0.34  0.34
    e   0.05  0.09  0.15  0.24  0.34  0.45
"""

import torch
from torch import Tensor

from dualmode.asr.ctc import BLANK
from dualmode.encoder.padding import valid_frames

WIDTH = 1.5  # standard deviation of a token's place, in tokens


def even_places(frames: Tensor, tokens: Tensor, longest: tuple[int, int]) -> Tensor:
    """Return how probable it is that each token is said at each frame, if all take the same time, give or take.

    Args:
        frames: (batch,), real frames.
        tokens: (batch,), real tokens.
        longest: frames and tokens of the padded batch.

    Returns:
        (batch, frames, tokens), a distribution over an utterance's tokens at each real frame; 0 at padding and in
        utterances without tokens.

    >>> even_places(torch.tensor([6]), torch.tensor([4]), (6, 4))[0, 0]  # the first column of the drawing above
    tensor([0.4532, 0.3370, 0.1607, 0.0491])
    """
    device = frames.device
    at_frame = (torch.arange(longest[0], device=device) + 0.5) / frames.clamp(min=1)[:, None]  # of the utterance
    at_token = (torch.arange(longest[1], device=device) + 0.5) / tokens.clamp(min=1)[:, None]
    apart = (at_frame[:, :, None] - at_token[:, None]) * tokens[:, None, None]  # in tokens
    said = valid_frames(tokens, longest[1])[:, None]
    nearness = (-0.5 * (apart / WIDTH).square()).masked_fill(~said, -torch.inf)
    there = valid_frames(frames, longest[0])[:, :, None] & said
    return nearness.softmax(dim=2).masked_fill(~there, 0.0)


def flat_start_losses(log_probs: Tensor, frames: Tensor, targets: Tensor, tokens: Tensor) -> Tensor:
    """Return each utterance's cross-entropy to its tokens at even places, summed over frames, in nats, (batch,).

    It is of the tokens among each other: at each frame, of the posteriors without the blank.

    Args:
        log_probs: (batch, frames, vocabulary).
        frames: (batch,), real frames.
        targets: (batch, tokens), padded with anything.
        tokens: (batch,), real tokens.
    """
    spoken = log_probs.index_fill(2, torch.full((1,), BLANK, device=log_probs.device), -torch.inf).log_softmax(dim=2)
    said = valid_frames(tokens, targets.shape[1])
    each = torch.where(said, targets, BLANK + 1)  # any index that is there
    of_tokens = spoken.gather(2, each[:, None].expand(-1, log_probs.shape[1], -1))
    places = even_places(frames, tokens, (log_probs.shape[1], targets.shape[1]))
    return -(places * of_tokens).sum(dim=(1, 2))
