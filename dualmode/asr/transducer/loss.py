"""The RNN-T loss over a lattice, with FastEmit."""

import torch
from torch import Tensor

from dualmode.asr.transducer.lattice import Lattice

_BLANK, _LABEL = 0, 1  # the two classes that torchaudio's loss is shown


def rnnt_losses(lattice: Lattice, frames: Tensor, tokens: Tensor, fastemit: float = 0.0) -> Tensor:
    """Return each utterance's negative log likelihood in nats, (batch,), summed over all alignments (Graves 2012).

    The likelihood depends on the label and the blank of each node only, so ``torchaudio.functional.rnnt_loss`` is given
    a vocabulary of these two, as log probabilities (``fused_log_softmax=False``); memory and time are then independent
    of the vocabulary.

    FastEmit (Yu et al. 2021, "FastEmit: low-latency streaming ASR with sequence-level emission regularization")
    multiplies the gradient of every label's log probability by ``1 + fastemit`` and leaves that of the blanks as it is.
    The returned value stays the likelihood.

    Args:
        lattice: of a batch.
        frames: (batch,), real frames, at least 1.
        tokens: (batch,), real tokens.
        fastemit: lambda of FastEmit; 0 is the plain loss.
    """
    from torchaudio.functional import rnnt_loss  # of the extra train: recognising has no loss

    label = lattice.label
    if fastemit:
        label = label + fastemit * (label - label.detach())
    log_probs = torch.stack([lattice.blank, label], dim=-1)[:, : frames.max(), : tokens.max() + 1]
    return rnnt_loss(
        log_probs.float().contiguous(),  # torchaudio computes in no other precision
        torch.full((len(tokens), log_probs.shape[2] - 1), _LABEL, dtype=torch.int32, device=tokens.device),
        frames.int(),
        tokens.int(),
        blank=_BLANK,
        reduction="none",
        fused_log_softmax=False,
    )
