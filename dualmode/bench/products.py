"""How many products a pass needs, and how fast a machine multiplies at best: what a faster program could still win."""

import math
from collections.abc import Callable

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from dualmode.bench.timing import timed

SIDE = 4096  # of the square matrices that a GPU is asked for its best with; a CPU gets half


def operations(run: Callable[[], object]) -> float:
    """Return the floating-point operations of all products of matrices, attentions and convolutions of one call.

    A product of (m, k) and (k, n) has ``2 * m * k * n``.  Norms, activations, dropout and copies are not counted.  What
    a mask multiplies by zero is; units that are left out are not.
    """
    backward = {torch.ops.aten.convolution_backward: _of_convolution_backward}
    # Attention as two products, since torch counts those of its fused kernels on a GPU only.
    with FlopCounterMode(display=False, custom_mapping=backward) as counter, sdpa_kernel(SDPBackend.MATH):
        run()
    return float(counter.get_total_flops())


def _of_convolution_backward(gradient, x, weight, *_, out_shape=None, **__) -> int:
    """Return the operations of the gradients that were asked for; torch's own count knows nothing of groups.

    Each gradient takes as many as the convolution itself. All arguments are shapes.
    """
    asked = [shape for shape in out_shape[:2] if shape is not None]
    return len(asked) * 2 * gradient[0] * math.prod(gradient[2:]) * math.prod(weight)


def best_rate(device: str, precision: str, rounds: int = 5) -> float:
    """Return the operations a second of a large square product, the best of ``rounds``: fp32 or bf16."""
    side = SIDE if device != "cpu" else SIDE // 2
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    torch.mm(left, right)
    return 2 * side**3 / min(timed(lambda: torch.mm(left, right)) for _ in range(rounds))
