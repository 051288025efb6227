import pytest
import torch
import torch.nn.functional as F

from dualmode.bench.products import best_rate, operations


def test_a_product_and_its_gradients():
    x, weight = torch.randn(3, 5, requires_grad=True), torch.randn(7, 5, requires_grad=True)
    assert operations(lambda: F.linear(x, weight)) == 2 * 3 * 5 * 7
    assert operations(lambda: F.linear(x, weight).sum().backward()) == 3 * 2 * 3 * 5 * 7


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_convolution_of_groups_and_its_gradients(groups):
    x, weight = torch.randn(2, 4, 9, requires_grad=True), torch.randn(4, 4 // groups, 3, requires_grad=True)
    once = 2 * (2 * 7 * 4) * (4 // groups * 3)  # outputs, each of so many products
    assert operations(lambda: F.conv1d(x, weight, groups=groups)) == once
    assert operations(lambda: F.conv1d(x, weight, groups=groups).sum().backward()) == 3 * once
    frozen = x.detach()
    assert operations(lambda: F.conv1d(frozen, weight, groups=groups).sum().backward()) == 2 * once


def test_an_attention_is_two_products():
    query, key = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 7, 8)
    assert operations(lambda: F.scaled_dot_product_attention(query, key, key)) == 2 * (2 * 2 * 3 * 5 * 7 * 8)


def test_units_that_are_left_out_cost_nothing():
    pytest.importorskip("espnet2")
    from dualmode.bench.encoder import SUBNET, build, passes
    from dualmode.supernet.subnet import DENSE, Subnet

    encoder, features, lengths = build("144x6"), torch.randn(1, 400, 80), torch.tensor([400])

    def of(subnet: Subnet) -> float:
        return operations(lambda: passes(encoder, features, lengths, (subnet,)).backward())

    embedding = operations(lambda: encoder.embed(features, lengths)[0].sum().backward())
    dense, sparse = of(DENSE) - embedding, of(SUBNET) - embedding
    assert 0.25 < sparse / dense < 0.4  # 30 % of the units, and whole channels of 8, and padded chunks


def test_the_best_rate_is_positive():
    assert best_rate("cpu", "fp32", rounds=1) > 0
