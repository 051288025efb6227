"""Sums and logarithms in single precision at least."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Return x in float32 if it is in half precision, else as it is (float64 in tests of exactness)."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
