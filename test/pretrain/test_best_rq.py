import math

import pytest
import torch
import torch.nn.functional as F

from dualmode.pretrain.best_rq import BestRqTargets, RandomQuantizer
from dualmode.pretrain.config import BestRqConfig


def test_the_code_is_the_nearest_entry_of_the_unit_sphere():
    torch.manual_seed(0)
    quantizer = RandomQuantizer(6, groups=2, entries=5, size=3)
    x = torch.randn(7, 6)
    for frame, row in enumerate(quantizer(x)):
        for group, code in enumerate(row):
            projected = F.normalize(x[frame] @ quantizer.projection[group], dim=0)
            assert code == (quantizer.codebook[group] - projected).norm(dim=1).argmin()


def test_loss_accuracy_and_chance_of_a_tiny_case_by_hand():
    targets = BestRqTargets(2, 4, BestRqConfig(entries=2, target_size=2))
    with torch.no_grad():
        targets.head.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        targets.head.bias.zero_()
        targets.quantizer.projection.copy_(torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]]))
        targets.quantizer.codebook.copy_(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]))
    frames = torch.tensor([[3.0, 1.0, 9.0, 9.0], [0.0, 2.0, 0.0, 0.0], [1.0, 2.0, 0.0, 0.0]])  # codes 0, 1, 1
    drawn = targets.draw(frames, torch.zeros(3, dtype=torch.long), step=1)
    assert drawn.codes.tolist() == [[0], [1], [1]]
    assert drawn.stats["chance"].item() == pytest.approx(2 / 3)
    answer = targets.compare(torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), drawn, "dense")
    losses = [math.log(1 + math.exp(-2)), math.log(1 + math.exp(-1)), math.log(1 + math.exp(1))]
    assert answer.losses.mean().item() == pytest.approx(sum(losses) / 3, abs=1e-6)
    assert answer.right.mean().item() == pytest.approx(2 / 3)


def test_the_quantizer_is_part_of_the_checkpoint():
    torch.manual_seed(0)
    one, other = (RandomQuantizer(6, groups=1, entries=5, size=3) for _ in range(2))
    other.load_state_dict(one.state_dict())
    x = torch.randn(20, 6)
    assert torch.equal(one(x), other(x))
