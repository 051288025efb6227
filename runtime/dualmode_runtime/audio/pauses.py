"""Long recordings in pieces, cut in pauses, so that memory stays bounded and hardly a word is cut."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from dualmode_runtime.frames import SAMPLE_RATE

HOP = SAMPLE_RATE // 100
AT_LEAST = 300  # hops before a pause ends a piece
PAUSE = 40  # hops that are quiet
PAUSE_BELOW, LOUD = 1e-3, 0.95  # quiet is 30 dB below what is louder than 95 % of all hops
QUIETEST = 20  # hops, where there is no pause
SHORTEST_MS = 1000  # that may be the longest piece: a cut is looked for in half of it
ENDLESS_MS = 1e12  # what is longer, infinity too, is never cut


@dataclass(frozen=True)
class Piece:
    """A part of a recording.

    Attributes:
        samples: (samples,) float32 at 16 kHz.
        start_ms, end_ms: where in the recording it is.
        last: whether the recording ends with it.
    """

    samples: np.ndarray
    start_ms: float
    end_ms: float
    last: bool


def pieces(blocks: Iterable[np.ndarray], max_ms: float) -> Iterator[Piece]:
    """Cut a recording that is longer than ``max_ms``; a shorter one is one piece, also if it is empty.

    A piece ends in the middle of the first pause after 3 s; where none comes, in the middle of the quietest 200 ms of
    the second half of what may be a piece::

        |--- 3 s ---|                                 max_ms
        |w o r d   w o r d        w o r d ...         |
                             ^ cut

    Args:
        blocks: (samples,) float32 at 16 kHz, of any number.
        max_ms: longest piece, at least SHORTEST_MS; infinity cuts nothing.
    """
    longest, start, cutting = round(min(max_ms, ENDLESS_MS) * SAMPLE_RATE / 1000), 0, False
    waiting = np.zeros(0, np.float32)

    def piece(samples: np.ndarray, last: bool) -> Piece:
        return Piece(samples, 1000 * start / SAMPLE_RATE, 1000 * (start + len(samples)) / SAMPLE_RATE, last)

    for block in blocks:
        waiting = np.concatenate([waiting, block])
        while len(waiting) > longest:
            cutting, end = True, first_pause(waiting[:longest]) or quietest(waiting[:longest])
            yield piece(waiting[:end], False)
            waiting, start = waiting[end:], start + end
    while cutting and (end := first_pause(waiting)):
        yield piece(waiting[:end], False)
        waiting, start = waiting[end:], start + end
    yield piece(waiting, True)


def hop_power(samples: np.ndarray) -> np.ndarray:
    """Return the power of each 10 ms of samples (n,); less than that is left out."""
    hops = len(samples) // HOP
    return np.square(samples[: hops * HOP], dtype=np.float64).reshape(hops, HOP).sum(axis=1)


def first_pause(samples: np.ndarray) -> int | None:
    """Return the middle of the first pause of samples (n,) that lies 3 s from the beginning at least, or None.

    >>> signal = np.ones(80000, np.float32)
    >>> signal[16000:32000] = signal[56000:64000] = 0.01
    >>> first_pause(signal), first_pause(signal[:60000])
    (60000, None)
    """
    power = hop_power(samples)
    if not len(power):
        return None
    quiet = np.concatenate([[False], power < PAUSE_BELOW * np.quantile(power, LOUD), [False]])
    begins, ends = np.flatnonzero(quiet[1:] & ~quiet[:-1]), np.flatnonzero(~quiet[1:] & quiet[:-1])
    for begin, end in zip(begins, ends, strict=True):
        middle = int(begin + end) // 2
        if end - begin >= PAUSE and middle >= AT_LEAST and end < len(power):
            return middle * HOP
    return None


def quietest(samples: np.ndarray) -> int:
    """Return the middle of the quietest 200 ms in the second half of samples (n,); of equally quiet ones, the last.

    >>> loud = np.ones(32000, np.float32)
    >>> loud[20000:24000] = 0.1
    >>> 20000 + 1600 <= quietest(loud) <= 24000 - 1600
    True
    """
    power = hop_power(samples)
    first = len(power) // 2
    sums = np.convolve(power[first:], np.ones(QUIETEST), mode="valid")
    # A sum of floats is not quite the same twice, so quiet is what is hardly louder than the quietest.
    best = np.flatnonzero(sums <= sums.min() * (1 + 1e-9) + 1e-12)[-1]
    return int(first + best + QUIETEST // 2) * HOP
