"""Scalars that several processes can average.

What ESPnet does: with several processes its validation averages the statistics and the weight over them, one after the
other in each process's order, and asserts that each has one dimension, (batches,).
Why that is wrong for us: our models return scalars, (), as a single process needs no more; and a batch that has
nothing to say names its values in another order than others, and may have them of another type.
What ours does: a hook on the model makes (1,) of each after the forward pass of a validation, in the order of their
names and of one type.  A weight of 0 becomes a very small one, since a batch that has nothing to say on any process
would otherwise be 0 / 0.
"""

import contextlib
from collections.abc import Iterator

import torch
from espnet2.torch_utils.device_funcs import force_gatherable

SMALL = 1e-6  # of an utterance or a frame


@contextlib.contextmanager
def gathered_scalars(model: torch.nn.Module, distributed: bool) -> Iterator[None]:
    """Add the hook, where there are several processes."""
    if not distributed:
        yield
        return

    def gatherable(module, inputs, output):
        if module.training:
            return output
        loss, stats, weight = output
        loss, stats, weight = force_gatherable((loss, stats, weight.clamp(min=SMALL)), loss.device)
        return loss, {name: value.double() for name, value in sorted(stats.items())}, weight

    hook = model.register_forward_hook(gatherable)
    try:
        yield
    finally:
        hook.remove()
