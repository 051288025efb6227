"""What the batches of an update say together, over all processes, read from the device once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dualmode.tasks.batch_size import FRAMES_PER_HOUR


@dataclass(frozen=True)
class Totals:
    """Of one update.

    Attributes:
        weight: of all batches of all processes.
        stats: mean of each value, by the weights of the batches that report it.
        audio_h: hours of audio, without padding.
        votes: how many processes voted for each thing that was asked.
        grad_norm: before clipping.
    """

    weight: float
    stats: dict[str, float]
    audio_h: float
    votes: tuple[int, ...]
    grad_norm: float


class Tally:
    """Adds up values on the device of the training, in float64; nothing is read before :meth:`read`.

    All processes report the same values; which ones, may differ from batch to batch.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.weight = torch.zeros((), dtype=torch.float64, device=device)
        self.sums: dict[str, Tensor] = {}
        self.weights: dict[str, Tensor] = {}
        self.frames = 0

    def add(self, stats: Mapping[str, Tensor], weight: Tensor, frames: int) -> None:
        """Count a batch: values () and weight (), on the device; ``frames`` of 10 ms of audio."""
        weight = weight.detach().double()
        self.weight = self.weight + weight
        self.frames += frames
        for name, value in stats.items():
            self.sums[name] = self.sums.get(name, 0.0) + value.detach() * weight
            self.weights[name] = self.weights.get(name, 0.0) + weight

    def close(self, votes: Sequence[bool], distributed: bool) -> Tensor:
        """Add up all processes, none of which may be missing; return the total weight (), still on the device."""
        names = sorted(self.sums)
        own = torch.tensor([self.frames, *map(float, votes)], dtype=torch.float64)
        parts = [self.weight, *(self.sums[name] for name in names), *(self.weights[name] for name in names)]
        self.vector = torch.cat([own.to(self.device, non_blocking=True), torch.stack(parts)])
        self.votes = len(votes)
        if distributed:
            torch.distributed.all_reduce(self.vector)
        return self.vector[1 + self.votes]

    def read(self, grad_norm: Tensor) -> Totals:
        """Wait for the device, once, for everything that the training has to know of the update."""
        numbers = torch.cat([grad_norm.detach().double().reshape(1), self.vector]).tolist()
        norm, frames, *numbers = numbers
        votes, weight, numbers = numbers[: self.votes], numbers[self.votes], numbers[self.votes + 1 :]
        names = sorted(self.sums)
        pairs = zip(names, numbers[: len(names)], numbers[len(names) :], strict=True)
        stats = {name: value / share for name, value, share in pairs if share}
        return Totals(weight, stats, frames / FRAMES_PER_HOUR, tuple(map(round, votes)), norm)
