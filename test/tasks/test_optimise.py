"""One update of the weights; of several processes: test_parallel."""

import math

import pytest
import torch

from dualmode.tasks.optimise import Updater


def test_a_gradient_is_clipped_by_its_largest_value_too():
    model = torch.nn.Linear(2, 1)
    model.weight.grad, model.bias.grad = torch.tensor([[6.0, -8.0]]), torch.tensor([2.0])
    updater = Updater(model, torch.optim.SGD(model.parameters()), clip=1.0, clip_type=math.inf)
    assert updater._finish_gradient(torch.tensor(2.0)) == 4.0  # of the whole weight 2
    assert model.weight.grad.flatten().tolist() == pytest.approx([0.75, -1.0], rel=1e-5)
    assert model.bias.grad.item() == pytest.approx(0.25, rel=1e-5)
