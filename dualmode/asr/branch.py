"""What one sub-network makes of a batch, and the losses that follow from it."""

from dataclasses import dataclass

from torch import Tensor

from dualmode.asr.config import AsrConfig
from dualmode.asr.ctc import confidence_penalties, ctc_losses
from dualmode.asr.distillation import ctc_distillation, lattice_distillation
from dualmode.asr.flat_start import flat_start_losses
from dualmode.asr.references import References
from dualmode.asr.transducer.lattice import Lattice
from dualmode.asr.transducer.loss import rnnt_losses


@dataclass(frozen=True)
class BranchOutput:
    """The output of one sub-network.

    Attributes:
        encoded: (batch, frames, d).
        posteriors: CTC log posteriors (batch, frames, vocabulary); None without a CTC head.
        lattice: of the RNN-T; None without one.
    """

    encoded: Tensor
    posteriors: Tensor | None
    lattice: Lattice | None


def branch_losses(
    branch: BranchOutput, batch: References, config: AsrConfig, streaming: bool, flat: bool = False
) -> dict[str, Tensor]:
    """Return the losses of a branch by name, in nats, averaged over the batch: "ctc", "flat", "rnnt".

    Args:
        branch: output of the sub-network.
        batch: what it should have said.
        config: settings; their weights are not applied here.
        streaming: whether this is the branch that FastEmit is for.
        flat: whether the CTC head is told as well where tokens would be if they were evenly placed.

    They are noted in ``batch``, which tells whether one is not finite.
    """
    losses = {}
    if branch.posteriors is not None:
        losses["ctc"] = ctc_losses(branch.posteriors, batch.frames, batch.text, batch.tokens)
        if config.label_smoothing:
            penalties = confidence_penalties(branch.posteriors, batch.frames)
            losses["ctc"] = losses["ctc"] + config.label_smoothing * (penalties - losses["ctc"])
        if flat:
            losses["flat"] = flat_start_losses(branch.posteriors, batch.frames, batch.text, batch.tokens)
    if branch.lattice is not None:
        fastemit = config.transducer.fastemit if streaming else 0.0
        losses["rnnt"] = rnnt_losses(branch.lattice, batch.frames, batch.tokens, fastemit)
    for kind, values in losses.items():
        batch.note(values, kind)
    return {kind: values.mean() for kind, values in losses.items()}


def distillation_losses(
    dense: BranchOutput, sparse: BranchOutput, batch: References, config: AsrConfig
) -> dict[str, Tensor]:
    """Return the divergences of the sparse branch from the dense one by name, in nats: those that have a weight.

    Args:
        dense, sparse: the teacher and the student.
        batch: lengths.
        config: settings; their weights are not applied here.
    """
    losses, shift = {}, config.distill_shift
    if config.distill_weights["ctc"]:
        losses["ctc"] = ctc_distillation(sparse.posteriors, dense.posteriors, batch.frames, shift)
    if config.distill_weights["rnnt"]:
        losses["rnnt"] = lattice_distillation(sparse.lattice, dense.lattice, batch.frames, batch.tokens, shift)
    return losses
