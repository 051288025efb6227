import torch

from dualmode.supernet.subnet_norm import SubnetNorm
from dualmode.supernet.view import ALL, View


def test_each_level_has_its_own_scale_and_shift():
    norm = SubnetNorm(2, levels=1)
    with torch.no_grad():
        norm.weight[1], norm.bias[1] = 3.0, 1.0
    x = torch.tensor([[0.0, 2.0]])  # mean 1, deviation 1
    assert torch.allclose(norm(x, ALL), torch.tensor([[-1.0, 1.0]]), atol=1e-4)
    assert torch.allclose(norm(x, View(1)), torch.tensor([[-2.0, 4.0]]), atol=1e-4)
