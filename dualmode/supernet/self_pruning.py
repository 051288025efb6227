"""The part that both trainings share: an encoder whose masks follow its own weights while it trains."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dualmode.encoder.conformer import DualModeEncoder
from dualmode.supernet.pruning import PruningSchedule, estimate_masks


@dataclass(frozen=True)
class BranchWeights:
    """Weights of the two branches' losses.

    Args:
        dense: of the dense full-context branch.
        sparse: of the sparse streaming branch; 0 does not run it.
    """

    dense: float = 1.0
    sparse: float = 1.0


class SelfPruningModel(nn.Module):
    """Base of the pre-training and the recognition model.

    Counts the training batches and finds the masks anew when the schedule says so.  The count is part of the
    checkpoint, so a resumed training goes on with the same schedule.
    """

    def __init__(self, encoder: DualModeEncoder, schedule: PruningSchedule):
        super().__init__()
        self.encoder, self.schedule = encoder, schedule
        self.step = 0

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self.step)

    def set_extra_state(self, state: Tensor) -> None:
        self.step = int(state)

    def begin_batch(self) -> dict[str, Tensor]:
        """Call first in every forward pass; does nothing outside training.

        Returns:
            ``mask_change``, the share of mask entries that changed, if this batch found the masks anew; else nothing.
        """
        stats = {}
        if not self.training:
            return stats
        if self.schedule.due(self.step):
            fraction = self.schedule.fraction(self.step)
            stats["mask_change"] = estimate_masks(self.encoder, self.encoder.config.pruning, fraction)
        self.step += 1
        return stats
