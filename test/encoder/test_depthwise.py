import pytest
import torch
import torch.nn.functional as F

from dualmode.encoder import depthwise as module
from dualmode.encoder.depthwise import depthwise


def by_torch(x, weight, bias):
    reach = weight.shape[-1] // 2
    return F.conv1d(F.pad(x.transpose(1, 2), (0, reach)), weight, bias, groups=len(weight)).transpose(1, 2)


@pytest.mark.parametrize("short_rows", [0, 100])
@pytest.mark.parametrize(
    "rows, channels, frames, taps", [(1, 1, 1, 1), (2, 3, 9, 5), (4, 8, 31, 31), (7, 5, 20, 15), (3, 2, 4, 15)]
)
def test_depthwise_is_the_convolution_with_all_its_gradients(rows, channels, frames, taps, short_rows, monkeypatch):
    monkeypatch.setattr(module, "SHORT_ROWS", short_rows)
    torch.manual_seed(0)
    x = torch.randn(rows, taps // 2 + frames, channels, requires_grad=True)
    weight = torch.randn(channels, 1, taps, requires_grad=True)
    bias = torch.randn(channels, requires_grad=True)
    ours, torchs = depthwise(x, weight, bias), by_torch(x, weight, bias)
    assert torch.allclose(ours, torchs, atol=1e-5)
    with torch.no_grad():
        assert torch.allclose(depthwise(x, weight, bias), torchs, atol=1e-5)
    direction = torch.randn_like(ours)
    for mine, theirs in zip(
        torch.autograd.grad(ours, (x, weight, bias), direction),
        torch.autograd.grad(torchs, (x, weight, bias), direction),
        strict=True,
    ):
        assert torch.allclose(mine, theirs, atol=1e-4)


@pytest.mark.parametrize("frames", [9, 90])
def test_depthwise_under_autocast_stays_in_float32(frames):
    x, weight, bias = torch.randn(2, 2 + frames, 3), torch.randn(3, 1, 5, requires_grad=True), torch.zeros(3)
    with torch.autocast("cpu", torch.bfloat16):
        output = depthwise(x.bfloat16(), weight, bias)
    output.sum().backward()
    assert output.dtype == weight.grad.dtype == torch.float32
