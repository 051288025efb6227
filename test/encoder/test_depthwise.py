import pytest
import torch
import torch.nn.functional as F

from dualmode.encoder.depthwise import depthwise


@pytest.mark.parametrize("batch, channels, frames, taps", [(1, 1, 1, 1), (2, 3, 9, 5), (4, 8, 31, 31), (7, 5, 20, 15)])
def test_depthwise_is_the_convolution_with_all_its_gradients(batch, channels, frames, taps):
    torch.manual_seed(0)
    x = torch.randn(batch, channels, frames, requires_grad=True)
    weight = torch.randn(channels, 1, taps, requires_grad=True)
    bias = torch.randn(channels, requires_grad=True)
    ours, torchs = depthwise(x, weight, bias), F.conv1d(x, weight, bias, groups=channels)
    assert torch.allclose(ours, torchs, atol=1e-5)
    direction = torch.randn_like(ours)
    for mine, theirs in zip(
        torch.autograd.grad(ours, (x, weight, bias), direction),
        torch.autograd.grad(torchs, (x, weight, bias), direction),
        strict=True,
    ):
        assert torch.allclose(mine, theirs, atol=1e-4)


def test_depthwise_under_autocast_stays_in_float32():
    x, weight, bias = torch.randn(2, 3, 9), torch.randn(3, 1, 5, requires_grad=True), torch.zeros(3)
    with torch.autocast("cpu", torch.bfloat16):
        output = depthwise(x.bfloat16(), weight, bias)
    output.sum().backward()
    assert output.dtype == weight.grad.dtype == torch.float32
