"""From 10 ms feature frames to 40 ms encoder frames, without padding."""

import torch
from torch import Tensor, nn


class GlobalNorm(nn.Module):
    """Mean and variance normalisation with fixed statistics of the training set, kept in the model.

    Statistics of an utterance would need its end, which a stream does not have.
    """

    mean: Tensor  # (bins,)
    std: Tensor  # (bins,)

    def __init__(self, bins: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(bins))
        self.register_buffer("std", torch.ones(bins))

    def forward(self, features: Tensor) -> Tensor:
        """Normalise features (..., bins)."""
        return (features - self.mean) / self.std


class Subsampling(nn.Module):
    """Two 3x3 convolutions of stride 2 without padding; encoder frame t sees feature frames 4t to 4t + 6::

        features  0 1 2 3 4 5 6 7 8 9 10
        frame 0   x x x x x x x
        frame 1           x x x x x x x

    Both are full convolutions.  A depthwise second one costs less, but on the small corpora of the recipes the CTC loss
    then left its first plateau several epochs later.
    """

    def __init__(self, bins: int, channels: int, output_size: int):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(1, channels, 3, stride=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, stride=2),
            nn.ReLU(inplace=True),
        )
        self.project = nn.Linear(channels * (((bins - 1) // 2 - 1) // 2), output_size)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (batch, frames, bins), frames >= 7, to (batch, (frames - 7) // 4 + 1, output_size)."""
        x = features.unsqueeze(1)
        if features.device.type == "cpu":  # channels last in memory: a quarter less time for both passes together
            x = features.unsqueeze(3).permute(0, 3, 1, 2)
        x = self.conv(x)
        return self.project(x.transpose(1, 2).flatten(2))
