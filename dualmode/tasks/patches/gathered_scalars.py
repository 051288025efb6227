"""Scalars that several processes can average.

What ESPnet does: with several processes its loop averages the loss, the statistics and the weight over them, and
asserts that each has one dimension, (batches,).
Why that is wrong for us: our models return scalars, (), as a single process needs no more.
What ours does: a hook on the model makes (1,) of each after the forward pass.
"""

import contextlib
from collections.abc import Iterator

import torch
from espnet2.torch_utils.device_funcs import force_gatherable


@contextlib.contextmanager
def gathered_scalars(model: torch.nn.Module, distributed: bool) -> Iterator[None]:
    """Add the hook, where there are several processes."""
    if not distributed:
        yield
        return
    hook = model.register_forward_hook(lambda _, inputs, output: force_gatherable(output, output[0].device))
    try:
        yield
    finally:
        hook.remove()
