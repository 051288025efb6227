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
        return _ByProducts.apply(x, weight, bias)
    x = F.pad(x.transpose(1, 2), (0, reach))
    if on_cpu and torch.is_grad_enabled():
        x = _Depthwise.apply(x, weight, bias)
    elif on_cpu and x.numel() * weight.shape[-1] <= SHORT:
        x = _by_windows(x, weight, bias)
    else:
        x = F.conv1d(x, weight, bias, groups=len(weight))
    return x.transpose(1, 2)


def _by_windows(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Multiply every window of ``taps`` frames of x (rows, channels, frames) with the kernels, and add up."""
    frames_first, taps = x.transpose(1, 2), weight.shape[-1]
    windows = frames_first.unfold(1, taps, 1).transpose(2, 3)  # (rows, frames, taps, channels)
    return (windows * weight[:, 0].t()).sum(dim=2).add_(bias).transpose(1, 2)


class _ByProducts(torch.autograd.Function):
    """Multiply all rows of a channel with a matrix that holds its kernel once for every output.

    Kernel abc, rows of reach 1 and 3 frames::

                     input  0 1 2 3
            output 0        a b c        input 0 lies before the row
                   1          a b c
                   2            a b      and nothing follows
    """

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        taps, frames = weight.shape[-1], x.shape[1] - weight.shape[-1] // 2
        by_channel = x.permute(2, 0, 1).contiguous()
        matrices = weight.new_zeros(len(weight), frames, frames + taps - 1)
        _diagonals(matrices, taps).copy_(weight)
        matrices = matrices[:, :, : x.shape[1]]
        ctx.save_for_backward(by_channel, matrices)
        mixed = torch.bmm(by_channel, matrices.transpose(1, 2)).permute(1, 2, 0)
        return torch.add(mixed, bias, out=x.new_empty(mixed.shape))

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, matrices = ctx.saved_tensors
        by_channel, reach = gradient.permute(2, 0, 1).contiguous(), x.shape[2] - gradient.shape[1]
        to_x = torch.bmm(by_channel, matrices).permute(1, 2, 0)
        to_matrices = F.pad(torch.bmm(by_channel.transpose(1, 2), x), (0, reach))
        return to_x, _diagonals(to_matrices, 2 * reach + 1).sum(dim=1, keepdim=True), gradient.sum((0, 1))


def _diagonals(matrices: Tensor, taps: int) -> Tensor:
    """Return for every row r of contiguous matrices (channels, frames, frames + taps - 1) its columns from r on.

    Returns:
        (channels, frames, taps), a view.
    """
    channels, frames, width = matrices.shape
    return matrices.as_strided((channels, frames, taps), (frames * width, width + 1, 1))


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
