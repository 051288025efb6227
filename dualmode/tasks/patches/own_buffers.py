"""Buffers are not copied between the processes of a training.

What ESPnet does: its DistributedDataParallel copies all buffers from the first process before every forward pass.
Why that is wrong for us: the masks are the largest buffers (72 to 170 MB for the plans), and all processes find
the same ones from the same weights.
What ours does: none is copied; :mod:`dualmode.tasks.agreement` looks once an epoch whether they agree.
"""

import torch
from torch.nn.parallel import DistributedDataParallel


def keep_buffers(model: torch.nn.Module) -> None:
    """Have the DistributedDataParallel that will be made of ``model`` leave its buffers alone."""
    names = [name for name, _ in model.named_buffers()]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, names)
