"""How many batches make an update, whatever the number of GPUs."""

from dataclasses import dataclass

from dualmode.errors import UserError

FRAMES_PER_HOUR = 360_000  # feature frames of 10 ms
MUCH = 1.1  # times the reference, from which on a training is not the one that was planned


@dataclass(frozen=True)
class UpdatePlan:
    """What an update is made of.

    Attributes:
        gpus: of all machines together; 1 for a CPU.
        bins: feature frames of 10 ms that one GPU takes at once, padding counted.
        accum_grad: batches of each GPU whose gradients are added up.
        reference_h: hours of audio an update that the learning rate was chosen for.
    """

    gpus: int
    bins: int
    accum_grad: int
    reference_h: float

    @property
    def batch_bins(self) -> int:
        """Feature frames that all GPUs take at once; ESPnet shares them among the GPUs."""
        return self.bins * self.gpus

    @property
    def hours(self) -> float:
        """Hours of audio an update."""
        return self.batch_bins * self.accum_grad / FRAMES_PER_HOUR

    @property
    def warning(self) -> str | None:
        """Return by how much an update exceeds the reference, and what to do; None where it does not.

        >>> plan_update(gpus=64, bins=72000, reference_h=1.6).warning[:77]
        'an update is 12.8 h of audio, 8 times reference_batch_h (1.6): lower batch_bi'
        """
        times = self.hours / self.reference_h
        if times <= MUCH:
            return None
        fitting = int(self.reference_h * FRAMES_PER_HOUR / (self.gpus * self.accum_grad))
        return (
            f"an update is {self.hours:.3g} h of audio, {times:.3g} times reference_batch_h ({self.reference_h:g}): "
            f"lower batch_bins to {fitting}, train on fewer GPUs, or choose a learning rate for larger updates and say "
            "so by reference_batch_h"
        )


def plan_update(gpus: int, bins: int, reference_h: float) -> UpdatePlan:
    """Return the plan whose updates see about ``reference_h`` hours of audio.

    wav2vec 2.0's 1.6 h, with 160 s (16000 frames) on a GPU at once:

    >>> [plan_update(gpus, 16000, 1.6).accum_grad for gpus in (1, 8, 64)]
    [36, 4, 1]

    Args:
        gpus: of all machines together; 1 for a CPU.
        bins: feature frames of 10 ms that one GPU takes at once.
        reference_h: hours of audio an update, padding counted.

    Raises:
        UserError: a value is not above 0.
    """
    if not (reference_h > 0 and bins > 0):
        raise UserError(f"reference_batch_h is {reference_h:g} and batch_bins {bins}: both must be above 0")
    accum_grad = max(1, round(reference_h * FRAMES_PER_HOUR / (bins * gpus)))
    return UpdatePlan(gpus, bins, accum_grad, reference_h)
