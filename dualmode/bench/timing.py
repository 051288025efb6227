"""Timing that stands up on a noisy machine: interleaved runs, medians, ratios within one run."""

import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

import torch

from dualmode.models.placement import CPU, find_device

K = TypeVar("K", bound=Hashable)


def use_device(name: str) -> torch.device:
    """Return the device that a user names; a GPU is PyTorch's current one from now on, which :func:`timed` waits for.

    Raises:
        UserError: it is another name, or PyTorch does not see that GPU.
    """
    device = find_device(name)
    if device.type != CPU:
        torch.cuda.set_device(device)
    return device


def interleaved(
    functions: Mapping[K, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[K, float]:
    """Return the median seconds of each function, all of them called in turn in every round.

    What slows the machine down for a while then slows all of them down alike::

        warm-up   A B C
        round 1   A B C
        round 2   A B C ...
    """
    times: dict[K, list[float]] = {name: [] for name in functions}
    for round_number in range(rounds + 1):
        for name, function in functions.items():
            seconds = timed(function, clock)
            if round_number:
                times[name].append(seconds)
    return {name: statistics.median(values) for name, values in times.items()}


def timed(function: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the seconds that one call takes by ``clock``, the work that it leaves to a GPU included."""
    finish_gpu()
    start = clock()
    function()
    finish_gpu()
    return clock() - start


def finish_gpu() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
