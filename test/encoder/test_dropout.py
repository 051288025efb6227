import torch

from dualmode.encoder.dropout import Dropout


def test_rate_and_scale():
    torch.manual_seed(0)
    x = torch.ones(100_003)
    y = Dropout(0.1).train()(x)
    kept = y != 0
    assert abs(kept.float().mean() - (1 - 26 / 256)) < 0.005
    assert torch.allclose(y[kept], torch.tensor(256 / 230))
    assert abs(y.mean() - 1.0) < 0.01


def test_nothing_happens_outside_training():
    x = torch.randn(3, 5)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0).train()(x) is x
