"""Audio in the sample rate and scale of the features, from pieces as programs deliver them."""

import sys

import numpy as np
import soxr

from dualmode_runtime.audio.reading import RATES
from dualmode_runtime.errors import UserError
from dualmode_runtime.frames import MAX_PEAK, SAMPLE_RATE

NARROW = "lacks the high tones that the model knows, and will be heard worse"  # audio of less than 16 kHz


def to_float(samples: np.ndarray) -> np.ndarray:
    """Return (samples,) float32 in [-1, 1]; 16-bit integers are scaled.

    Raises:
        UserError: another shape or type, NaN or infinite samples, or floats on the scale of integers.
    """
    samples = np.asarray(samples)
    if samples.ndim != 1:
        raise UserError(f"expected one channel of shape (samples,), got {samples.shape}")
    if samples.dtype.kind == "i" and samples.dtype.itemsize == 2:  # of either byte order
        return samples.astype(np.float32) / 32768
    if samples.dtype.kind != "f":
        raise UserError(f"expected float samples in -1 to 1 or 16-bit integers, got {samples.dtype}")
    samples = samples.astype(np.float32)
    if not np.isfinite(samples).all():
        raise UserError("the audio has NaN or infinite samples")
    if len(samples) and np.abs(samples).max() > MAX_PEAK:
        raise UserError(f"the audio has samples up to {np.abs(samples).max():g}, expected the range -1 to 1")
    return samples


def check_hertz(rate: int) -> None:
    """Raise UserError for what is no whole number of Hz, or none that a recording of speech has."""
    if not isinstance(rate, (int, np.integer)) or isinstance(rate, bool) or not RATES[0] <= rate <= RATES[1]:
        allowed = f"from {RATES[0]} to {RATES[1]}, such as {SAMPLE_RATE}"
        raise UserError(f"the sample rate is {rate!r}: it must be a whole number of Hz {allowed}")


def say_rate(rate: int) -> bool:
    """Say on standard error that audio of ``rate`` Hz is resampled; return whether it is."""
    if rate != SAMPLE_RATE:
        worse = f"; it {NARROW}" if rate < SAMPLE_RATE else ""
        print(f"audio of {rate} Hz is resampled to {SAMPLE_RATE} Hz{worse}", file=sys.stderr)
    return rate != SAMPLE_RATE


class Resampler:
    """Brings one recording, piece by piece, to 16 kHz; the pieces change nothing.

    Args:
        rate: of the recording, Hz; any other than 16 kHz is announced on standard error, if ``announce``.

    Raises:
        UserError: the rate is impossible.
    """

    def __init__(self, rate: int, announce: bool = True):
        check_hertz(rate)
        self.rate = rate
        self._stream = None
        if announce:
            say_rate(rate)
        if rate != SAMPLE_RATE:
            self._stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")

    def accept(self, samples: np.ndarray, final: bool = False) -> np.ndarray:
        """Return what is ready at 16 kHz (samples,) after more ``samples`` (samples,); ``final`` is the end."""
        return samples if self._stream is None else self._stream.resample_chunk(samples, last=final)
