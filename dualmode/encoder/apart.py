"""The gradient of one branch taken as soon as it has run, so that its activations are gone before the next one runs.

::

    embed -> x --cut--> dense branch -> loss      its gradients are taken at once: those of x, and of all weights
                                    |             activations of the dense branch are freed
    embed -> x ---------------------|-> sparse branch -> loss
                                    v
             known gradients join the others in the trainer's one backward pass

The trainer's backward pass finds a node that hands on what is known already.  So nothing else has to be told: loss
scaling multiplies what is handed on, and DistributedDataParallel sees each weight's whole gradient once.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def cut_off(value: Any, cuts: list[tuple[Tensor, Tensor]] | None = None) -> Any:
    """Return ``value`` with its tensors cut off what they were computed from.

    Args:
        value: a tensor, a dataclass or tuple of such values, or anything else, which is returned as it is.
        cuts: gets (tensor, cut tensor) for each one that has a gradient, and the cut one then asks for a gradient too.
    """
    if isinstance(value, Tensor):
        cut = value.detach()
        if cuts is not None and value.requires_grad:
            cuts.append((value, cut.requires_grad_()))
        return cut
    if isinstance(value, tuple):
        return tuple(cut_off(part, cuts) for part in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {part.name: cut_off(getattr(value, part.name), cuts) for part in dataclasses.fields(value)}
        return dataclasses.replace(value, **parts)
    return value


def differentiated(loss: Tensor, cuts: Iterable[tuple[Tensor, Tensor]], parameters: Iterable[Tensor]) -> Tensor:
    """Return ``loss`` (), whose gradient is known already; the graph that it was computed by is freed.

    Args:
        loss: of the parameters and the cut tensors.
        cuts: as :func:`cut_off` noted them; gradients go to the first of each pair.
        parameters: all that may have a gradient.
    """
    pairs = [*cuts, *((parameter, parameter) for parameter in parameters if parameter.requires_grad)]
    with torch.autocast(loss.device.type, enabled=False):
        gradients = torch.autograd.grad(loss, [inner for _, inner in pairs], allow_unused=True)
    known = [(outer, gradient) for (outer, _), gradient in zip(pairs, gradients, strict=True) if gradient is not None]
    return _Known.apply(loss.detach(), *(outer for outer, _ in known), *(gradient for _, gradient in known))


class _Known(torch.autograd.Function):
    """The first of ``loss, inputs..., gradients...``, with these gradients."""

    @staticmethod
    def forward(ctx, loss: Tensor, *inputs_then_gradients: Tensor) -> Tensor:
        ctx.save_for_backward(*inputs_then_gradients[len(inputs_then_gradients) // 2 :])
        return loss.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, factor: Tensor) -> tuple[Tensor | None, ...]:
        known = ctx.saved_tensors
        return None, *(gradient * factor for gradient in known), *(None for _ in known)
