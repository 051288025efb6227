"""How many batches make an update, whatever the number of GPUs."""

from dualmode.errors import UserError

FRAMES_PER_HOUR = 360_000  # feature frames of 10 ms


def accumulation(reference_h: float, batch_bins: int, gpus: int) -> int:
    """Return the batches whose gradients are added up so that an update sees about ``reference_h`` hours of audio.

    wav2vec 2.0's 1.6 h, with 160 s (16000 frames) on a GPU at once:

    >>> [accumulation(1.6, 16000, gpus) for gpus in (1, 8, 64)]
    [36, 4, 1]

    Args:
        reference_h: hours of audio an update, padding counted.
        batch_bins: feature frames of 10 ms that one GPU takes at once.
        gpus: GPUs of all machines together; 1 for a CPU.

    Raises:
        UserError: a value is not above 0.
    """
    if not (reference_h > 0 and batch_bins > 0):
        raise UserError(f"reference_batch_h is {reference_h:g} and batch_bins {batch_bins}: both must be above 0")
    return max(1, round(reference_h * FRAMES_PER_HOUR / (batch_bins * gpus)))
