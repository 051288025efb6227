"""Depthwise convolution over time, fast on a CPU, with a backward pass that is too."""

import torch
import torch.nn.functional as F
from torch import Tensor

# Products, below which torch's convolution takes longer to set up than multiplying takes (a chunk of one stream).
SHORT = 400_000
# Frames of a row, up to which a CPU is faster at a product of matrices for each channel.
SHORT_ROWS = 40


def depthwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve each channel of every row with its own kernel, as if zeros followed the row.

    Args:
        x: (rows, reach + frames, channels), where ``reach`` is taps // 2.
        weight: (channels, 1, taps), taps odd.
        bias: (channels,).

    Returns:
        (rows, frames, channels).
    """
    reach, on_cpu = weight.shape[-1] // 2, x.device.type == "cpu"
    if on_cpu and torch.is_grad_enabled() and x.shape[1] - reach <= SHORT_ROWS:
        return _by_products(x, weight, bias)
    x = F.pad(x.transpose(1, 2), (0, reach))
    if on_cpu and torch.is_grad_enabled():
        x = _Depthwise.apply(x, weight, bias)
    elif on_cpu and x.numel() * weight.shape[-1] <= SHORT:
        x = _by_windows(x, weight, bias)
    else:
        x = F.conv1d(x, weight, bias, groups=len(weight))
    return x.transpose(1, 2)


def _by_products(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Multiply all rows of a channel with a matrix that holds its kernel once for every output.

    Kernel abc, rows of reach 1 and 3 frames::

                     output 0 1 2
            input 0         a          what lies before the row
                  1         b a
                  2         c b a
                  3           c b      nothing follows
    """
    taps, frames = weight.shape[-1], x.shape[1] - weight.shape[-1] // 2
    with torch.autocast(x.device.type, enabled=False):  # a CPU is slower at it in bfloat16
        shifted = F.pad(weight[:, 0].to(bias.dtype), (frames - 1, x.shape[1] - taps))
        matrices = shifted.unfold(1, x.shape[1], 1).flip(1)  # (channels, frames, reach + frames)
        mixed = torch.bmm(x.to(bias.dtype).permute(2, 0, 1), matrices.transpose(1, 2))
        return mixed.permute(1, 2, 0) + bias


def _by_windows(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Multiply every window of ``taps`` frames of x (rows, channels, frames) with the kernels, and add up."""
    frames_first, taps = x.transpose(1, 2), weight.shape[-1]
    windows = frames_first.unfold(1, taps, 1).transpose(2, 3)  # (rows, frames, taps, channels)
    return (windows * weight[:, 0].t()).sum(dim=2).add_(bias).transpose(1, 2)


class _Depthwise(torch.autograd.Function):
    """Both gradients of a depthwise convolution are depthwise convolutions themselves.

    torch's own backward pass on a CPU takes about four times as long for whole utterances of 4 s.
    """

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv1d(x, weight, bias, groups=len(weight))

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        (batch, channels, frames), taps = gradient.shape, weight.shape[-1]
        to_x = F.conv1d(F.pad(gradient, (taps - 1, taps - 1)), weight.flip(-1), groups=channels)
        # Every channel of every row is a signal of its own, and its gradient the kernel that it is convolved with.
        signals, kernels = x.reshape(1, batch * channels, -1), gradient.reshape(batch * channels, 1, frames)
        to_weight = F.conv1d(signals, kernels, groups=batch * channels).view(batch, channels, taps).sum(0)
        return to_x, to_weight.unsqueeze(1), gradient.sum((0, 2))
