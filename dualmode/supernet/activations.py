"""Importance that data informs: a weight matters as far as its input is loud.

Sun et al. (2023), "A Simple and Effective Pruning Approach for Large Language Models" (Wanda), equation 1:
``|weight[o, i]| * ||input i||``, the norm taken over the frames of some utterances.
"""

from collections.abc import Callable

import torch
from torch import nn

from dualmode.supernet.masked_linear import prunable


@torch.no_grad()
def measure_inputs(module: nn.Module, run: Callable[[], None]) -> None:
    """Write the norms of their inputs into all prunable layers below ``module``, which hold them from then on.

    A mask that is found later, of the weights that training has made by then, counts with the same norms.

    Args:
        module: whose layers are watched.
        run: runs the module over data.
    """
    squares = {name: torch.zeros(layer.in_features) for name, layer in prunable(module)}

    def watch(name: str):
        def add(_, inputs) -> None:
            squares[name] += inputs[0].detach().float().flatten(0, -2).square().sum(dim=0).cpu()

        return add

    hooks = [layer.register_forward_pre_hook(watch(name)) for name, layer in prunable(module)]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    for name, layer in prunable(module):
        layer.hold_input_norms()
        layer.input_norms.copy_(squares[name].sqrt())
