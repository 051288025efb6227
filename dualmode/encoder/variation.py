"""How much of what a layer puts out varies over time: what a recogniser can tell frames apart by.

A frame is x[t] = mean over time + what varies; the share of the energy in the second part is 1 where frames have
nothing in common and 0 where all are the same vector, from which nothing can be learnt.
"""

import torch
from torch import Tensor

from dualmode.encoder.conformer import DualModeEncoder
from dualmode.encoder.padding import valid_frames
from dualmode.supernet.subnet import Subnet


def varying_share(x: Tensor, lengths: Tensor) -> float:
    """Return the share of the energy of x (batch, frames, d) that varies over each utterance's real frames.

    >>> varying_share(torch.tensor([[[2.0], [2.0]], [[1.0], [-1.0]]]), torch.tensor([2, 2]))  # of 10, 2
    0.2
    """
    real = valid_frames(lengths, x.shape[1]).unsqueeze(-1).to(x.dtype)
    mean = (x * real).sum(dim=1, keepdim=True) / lengths[:, None, None]
    varying = ((x - mean) * real).square().sum() / (x * real).square().sum()
    return round(varying.item(), 6)


@torch.no_grad()
def varying_shares(encoder: DualModeEncoder, features: Tensor, lengths: Tensor, subnet: Subnet) -> list[float]:
    """Return the share after the subsampling and after each block, in a pass as ``subnet``.

    Args:
        encoder: any; put into evaluation mode.
        features: (batch, feature frames of 10 ms, bins), padded.
        lengths: (batch,), real feature frames.
        subnet: which weights and which context.
    """
    encoder.eval()
    x, frames = encoder.embed(features, lengths)
    view, layout = encoder.config.view(subnet.sparsity), encoder.layout(frames, x.shape[1], subnet.context)
    shares, rows = [varying_share(x, frames)], layout.arrange(x)
    for block in encoder.blocks:
        rows = block(rows, view, layout)
        shares.append(varying_share(layout.restore(rows), frames))
    return shares
