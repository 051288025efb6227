import torch
from espnet2.optimizers.optim_groups import configure_optimizer

from dualmode.supernet.subnet_norm import SubnetNorm
from dualmode.supernet.view import ALL, View


def test_each_level_has_its_own_scale_and_shift():
    norm = SubnetNorm(2, levels=1)
    with torch.no_grad():
        norm.weight[1], norm.bias[1] = 3.0, 1.0
    x = torch.tensor([[0.0, 2.0]])  # mean 1, deviation 1
    assert torch.allclose(norm(x, ALL), torch.tensor([[-1.0, 1.0]]), atol=1e-4)
    assert torch.allclose(norm(x, View(1)), torch.tensor([[-2.0, 4.0]]), atol=1e-4)


def test_espnet_s_exclude_weight_decay_reaches_its_scale():
    model = torch.nn.Sequential(SubnetNorm(2, levels=1), torch.nn.Linear(2, 2))
    optimizer = configure_optimizer(model, torch.optim.AdamW, {"lr": 1.0, "weight_decay": 0.1}, {})
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert [decays[id(p)] for p in model.parameters()] == [0.0, 0.0, 0.1, 0.0]
