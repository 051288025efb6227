"""In-place distillation: the dense branch's distributions teach the sparse branch of the same batch."""

import torch
import torch.nn.functional as F
from torch import Tensor

from dualmode.asr.transducer.lattice import Lattice
from dualmode.encoder.padding import valid_frames


def distillation(student: Tensor, teacher: Tensor, weights: Tensor, max_shift: int = 0) -> Tensor:
    """Return KL(teacher || student) in nats: an utterance's weighted sum, averaged over the batch.

    In-place distillation of Yu et al. (2021), "Dual-mode ASR"; no gradient reaches the teacher.

    A streaming student hears less and speaks later.  The teacher is therefore also delayed by 1 to ``max_shift``
    frames, its first frame filling the gap, and of an utterance's divergences the smallest one counts; all of its
    tokens are late by the same time then, so that none can be left out for free.  ``max_shift=2``::

        student        A B C D E
        teacher, 0     a b c d e
        teacher, 1     a a b c d
        teacher, 2     a a a b c

    Args:
        student, teacher: log probabilities (batch, frames, ..., classes).
        weights: of each distribution, (batch, frames, ...); 0 (or False) where there is only padding.
        max_shift: in frames of 40 ms.
    """
    teacher, late = teacher.detach(), []
    for shift in range(min(max_shift, teacher.shape[1] - 1) + 1):
        delayed = torch.cat([teacher[:, :1].expand(-1, shift, *teacher.shape[2:]), teacher], dim=1)
        divergence = F.kl_div(student, delayed[:, : teacher.shape[1]], reduction="none", log_target=True).sum(dim=-1)
        late.append((divergence.masked_fill(weights == 0, 0.0) * weights).flatten(1).sum(dim=1))
    return torch.stack(late).amin(dim=0).mean()


def ctc_distillation(student: Tensor, teacher: Tensor, frames: Tensor, max_shift: int = 0) -> Tensor:
    """Return :func:`distillation` of CTC log posteriors (batch, frames, vocabulary), with real frames (batch,)."""
    return distillation(student, teacher, valid_frames(frames, student.shape[1]), max_shift)


def lattice_distillation(
    student: Lattice, teacher: Lattice, frames: Tensor, tokens: Tensor, max_shift: int = 0
) -> Tensor:
    """Return :func:`distillation` of RNN-T lattices in the collapsed form: label, blank, rest.

    Panchapagesan et al. (2021), "Efficient knowledge distillation for RNN-transducer models".  They sum over the nodes;
    here the sum over frames (batch,) is averaged over an utterance's rows, its real tokens (batch,) and one more, so
    that it is of the size of :func:`ctc_distillation`.
    """
    steps, rows = student.log_probs.shape[1:3]
    real = valid_frames(frames, steps)[:, :, None] & valid_frames(tokens + 1, rows)[:, None, :]
    return distillation(student.log_probs, teacher.log_probs, real / (tokens + 1)[:, None, None], max_shift)
