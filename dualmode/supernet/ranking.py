"""The best of many scores, the same on every machine."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

ROUNDING = 1e-6  # groups by which a share times a number of groups may be off in floating point


def keep_best(scores: Tensor, count: int) -> Tensor:
    """Return a boolean tensor that keeps the ``count`` largest of ``scores``; ties go to the earlier entry.

    >>> keep_best(torch.tensor([[4.0, 1.0], [2.0, 2.0]]), 2)
    tensor([[ True, False],
            [ True, False]])
    """
    if count <= 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    if count >= scores.numel():
        return torch.ones_like(scores, dtype=torch.bool)
    flat = scores.flatten()
    threshold = _nth_largest(flat, count)
    keep = flat >= threshold
    surplus = int(keep.sum()) - count
    if surplus:
        ties = (flat == threshold).nonzero().flatten()
        keep[ties[len(ties) - surplus :]] = False
    return keep.reshape(scores.shape)


def _nth_largest(flat: Tensor, n: int) -> Tensor:
    """Return the ``n``-th largest value, counted from 1, of a 1-D tensor.

    A sort of 100 million weights takes tens of seconds, and selection, which is linear in time, one.  So a sample says
    first between which two values the wanted one must be, and only what is there is looked at closely::

        all, from large to small   |....above....|==between==|..................|
                                                     ^ the n-th
    """
    sampled = 4096
    if flat.numel() > 16 * sampled:
        sample = flat[:: flat.numel() // sampled].sort(descending=True).values
        # A place in the sample is off by 32 at most (one standard deviation) where the sample is like the whole.
        place, slack = n * len(sample) // flat.numel(), 128
        high, low = sample[max(place - slack, 0)], sample[min(place + slack, len(sample) - 1)]
        above = int((flat > high).sum())
        between = flat[(flat <= high) & (flat >= low)]
        if above < n <= above + len(between):  # else the sample misled, or the n-th is beyond its ends
            return between.kthvalue(len(between) - (n - above) + 1).values
    return flat.kthvalue(flat.numel() - n + 1).values


def keep_best_of_all(scores: Sequence[Tensor], share: float, bounds: tuple[float, float]) -> list[Tensor]:
    """Keep the best groups of several layers together; all groups are of the same size.

    Each layer keeps at least ``bounds[0]`` and at most ``bounds[1]`` of its groups, give or take one where that is no
    whole number; what it must keep, and what it may, are its own best.  The rest of the budget goes to the best of all
    that may be kept::

        layer A  |mandatory|.....candidates.....|never|        scores fall from left to right
        layer B  |mandatory|.....candidates.....|never|

    Args:
        scores: of the groups of each layer; -inf for what is not to be kept.
        share: of all groups, to keep, rounded down.
        bounds: shares of a layer; the budget lies between them.

    Returns:
        booleans, shaped as each of the scores.
    """
    kept, places = [], []
    for values in scores:
        # Rounded outwards: what all layers must keep fits into the budget then, and what they may keep fills it.
        low, high = bounds[0] * values.numel(), bounds[1] * values.numel()
        finite = int(values.isfinite().sum())
        must, may = min(math.floor(low + ROUNDING), finite), min(math.ceil(high - ROUNDING), finite)
        mandatory = keep_best(values, must)
        kept.append(mandatory)
        places.append((keep_best(values, may) & ~mandatory).flatten().nonzero().flatten())
    candidates = torch.cat([values.flatten()[place] for values, place in zip(scores, places, strict=True)])
    budget = int(share * sum(v.numel() for v in scores) + ROUNDING) - sum(int(k.sum()) for k in kept)
    chosen = keep_best(candidates, budget).split([len(place) for place in places])
    for mask, place, choice in zip(kept, places, chosen, strict=True):
        mask.view(-1)[place[choice]] = True
    return kept
