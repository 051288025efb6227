import torch

from dualmode.bench.distractors import by_copies, by_product, peak


def test_both_ways_give_the_same_losses():
    random = torch.Generator().manual_seed(0)
    context, targets = torch.randn(2, 30, 8, generator=random, dtype=torch.float64)
    codes = torch.randint(3, (30, 2), generator=random)
    distractors = torch.randint(30, (30, 6), generator=random)
    given = (context, targets, codes, distractors)
    torch.testing.assert_close(by_product(*given), by_copies(*given))


def test_the_peak_of_a_call_is_what_it_had_at_once():
    def half_kept():
        torch.ones(25_000_000)  # 100 MB that are given back
        return torch.ones(12_500_000)

    assert 90 < peak(half_kept) < 130
