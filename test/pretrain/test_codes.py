import torch

from dualmode.pretrain.codes import DEAD_AFTER, CodeUsage


def test_perplexity_and_dead_codes_by_hand():
    usage = CodeUsage(groups=2, entries=4).train()
    codes = torch.tensor([[0, 1], [0, 2], [0, 1], [0, 2]])  # codebook 0: one entry; codebook 1: two, equally often
    for _ in range(DEAD_AFTER - 1):
        stats = usage(codes)
    assert stats["dead0"] == stats["dead1"] == 0
    stats = usage(codes)
    assert stats["dead0"] == 3 / 4 and stats["dead1"] == 2 / 4
    assert torch.isclose(stats["perplexity0"], torch.tensor(1.0)) and torch.isclose(
        stats["perplexity1"], torch.tensor(2.0)
    )
    stats = usage(torch.tensor([[3, 0]]))
    assert stats["dead0"] == 2 / 4 and stats["dead1"] == 1 / 4


def test_validation_counts_nothing():
    usage = CodeUsage(groups=1, entries=2).eval()
    for _ in range(DEAD_AFTER):
        assert usage(torch.tensor([[0]]))["dead0"] == 0
