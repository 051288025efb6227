"""Speed perturbation as Kaldi does it: tempo and pitch change together, the copy is a new utterance of a new speaker.

Source: Ko et al., "Audio Augmentation for Speech Recognition", Interspeech 2015.
"""

import re

import numpy as np
import soxr

from dualmode.errors import UserError


def parse_speeds(text: str) -> tuple[float, ...]:
    """Return the factors of ``0.9,1.0,1.1``.

    Raises:
        UserError: no number, a factor outside 0.5 to 2, or one given twice.
    """
    try:
        speeds = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--speeds {text}: expected numbers separated by commas, such as 0.9,1.0,1.1") from None
    for speed in speeds:
        if not 0.5 <= speed <= 2.0:
            raise UserError(f"--speeds {text}: {speed:g} is outside 0.5 to 2")
    if len({f"{speed:g}" for speed in speeds}) != len(speeds):  # as ids have it
        raise UserError(f"--speeds {text}: a factor is given twice")
    return speeds


def prefix(speed: float) -> str:
    """Return what stands before the ids of utterances and speakers.

    >>> prefix(0.9), prefix(1.0)
    ('sp0.9-', '')
    """
    return "" if speed == 1.0 else f"sp{speed:g}-"


def original(utterance: str) -> str:
    """Return the id of the utterance that a speed-perturbed one is a copy of.

    >>> original("sp1.1-anna-01"), original("anna-01")
    ('anna-01', 'anna-01')
    >>> original("sp1-01"), original("sp12-01"), original("sp0.90-01")  # such names no copy has
    ('sp1-01', 'sp12-01', 'sp0.90-01')
    """
    match = re.match(r"sp([0-9]+(?:\.[0-9]+)?)-", utterance)
    factor = float(match[1]) if match else 1.0
    return utterance[match.end() :] if match and 0.5 <= factor <= 2 and prefix(factor) == match[0] else utterance


def change_speed(samples: np.ndarray, speed: float, sample_rate: int) -> np.ndarray:
    """Play (samples,) float32 ``speed`` times as fast; the result has about samples / speed samples."""
    if speed == 1.0:
        return samples
    return soxr.resample(samples, sample_rate * speed, sample_rate, quality="HQ").astype(np.float32, copy=False)
