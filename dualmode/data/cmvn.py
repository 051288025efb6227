"""Global mean and standard deviation of features: one set of numbers, stored with the model.

Never per utterance: the mean of an utterance is not known while it is being spoken.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from dualmode.data.features import FeatureTable
from dualmode.errors import UserError
from dualmode_runtime.files import write_json

# Log-mel bins of real speech spread by 2 to 5.  A bin that never changes (all-silent data) would be divided by 0;
# the floor keeps it finite without touching any bin of real data.
STD_FLOOR = 1e-3


@dataclass(frozen=True)
class Statistics:
    """``mean`` and ``std`` are (bins,) float64; ``std`` is at least STD_FLOOR."""

    frames: int
    mean: np.ndarray
    std: np.ndarray

    def write(self, path: str | os.PathLike) -> None:
        """Write {"frames": N, "mean": [...], "std": [...]}."""
        write_json(path, {"frames": self.frames, "mean": self.mean.tolist(), "std": self.std.tolist()})


def statistics(features: Iterable[np.ndarray]) -> Statistics:
    """Accumulate in float64 over matrices (frames, bins).

    >>> result = statistics([np.array([[1.0], [2.0]]), np.array([[6.0]])])
    >>> result.frames, result.mean.tolist(), (result.std**2).round(6).tolist()
    (3, [3.0], [4.666667])

    Raises:
        UserError: there are no frames, or a value is NaN or infinite.
    """
    frames, total, squares = 0, np.zeros(()), np.zeros(())
    for matrix in features:
        wide = matrix.astype(np.float64)
        frames += len(wide)
        total = total + wide.sum(axis=0)
        squares = squares + (wide**2).sum(axis=0)
    if not frames:
        raise UserError("there are no feature frames to take the mean of")
    mean = total / frames
    variance = squares / frames - mean**2
    if not np.isfinite(variance).all():
        raise UserError("the features hold NaN or infinite values: make them anew with make_fbank")
    return Statistics(frames, mean, np.maximum(np.sqrt(np.maximum(variance, 0.0)), STD_FLOOR))


def read_features(scp: str | os.PathLike) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (utterance, (frames, bins)) for each line of a feats.scp, read one after the other.

    Raises:
        UserError: the list is empty, or what it names cannot be read.
    """
    yield from FeatureTable(scp).items()
