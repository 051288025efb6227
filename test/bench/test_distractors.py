import torch

from dualmode.bench.distractors import by_copies, by_product


def test_both_ways_give_the_same_losses():
    random = torch.Generator().manual_seed(0)
    context, targets = torch.randn(2, 30, 8, generator=random, dtype=torch.float64)
    codes = torch.randint(3, (30, 2), generator=random)
    distractors = torch.randint(30, (30, 6), generator=random)
    given = (context, targets, codes, distractors)
    torch.testing.assert_close(by_product(*given), by_copies(*given))
