import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dualmode.errors import UserError
from dualmode.supernet.masked_linear import MaskedLinear
from dualmode.supernet.pruning import (
    PruningSchedule,
    block_mask,
    check_masks,
    estimate_masks,
    layer_report,
)


def test_block_mask_keeps_the_blocks_of_largest_mean_magnitude():
    weight = torch.tensor([[1.0, -1.0, 0.0, 0.5], [3.0, 0.0, 0.0, -0.1]])
    # Mean magnitudes of the 2x2 blocks: left (1 + 1 + 3 + 0) / 4 = 1.25, right (0 + 0.5 + 0 + 0.1) / 4 = 0.15.
    expected = torch.tensor([[True, True, False, False], [True, True, False, False]])
    assert torch.equal(block_mask(weight, 0.5, (2, 2)), expected)


@given(
    rows=st.integers(1, 4),
    columns=st.integers(1, 4),
    down=st.integers(1, 6),
    across=st.integers(1, 6),
    sparsity=st.floats(0.0, 0.99),
    seed=st.integers(0, 2**16),
)
def test_any_mask_is_made_of_whole_blocks_and_has_its_sparsity(rows, columns, down, across, sparsity, seed):
    weight = torch.randn(rows * down, columns * across, generator=torch.Generator().manual_seed(seed))
    mask = block_mask(weight, sparsity, (rows, columns))
    blocks = mask.reshape(down, rows, across, columns).transpose(1, 2).reshape(down * across, -1)
    assert torch.equal(blocks.any(dim=1), blocks.all(dim=1))
    assert blocks.any(dim=1).sum() == round((1 - sparsity) * down * across)


@given(low=st.floats(0.0, 0.9), step=st.floats(0.0, 0.09), seed=st.integers(0, 2**16))
def test_a_sparser_mask_keeps_a_subset(low, step, seed):
    weight = torch.randn(8, 8, generator=torch.Generator().manual_seed(seed))
    dense, sparse = block_mask(weight, low, (2, 2)), block_mask(weight, low + step, (2, 2))
    assert not (sparse & ~dense).any()


def test_equal_weights_are_pruned_the_same_way_everywhere():
    assert torch.equal(block_mask(torch.ones(2, 4), 0.5, (1, 1)), torch.tensor([[True] * 4, [False] * 4]))


def test_cubic_ramp():
    schedule = PruningSchedule(begin=100, end=300, interval=50)
    # Zhu and Gupta (2017): 1 - (1 - 50 / 200)^3 = 0.578125 a quarter of the way.
    assert schedule.fraction(150) == pytest.approx(0.578125)
    assert [schedule.fraction(step) for step in (0, 100, 300, 1000)] == [0.0, 0.0, 1.0, 1.0]
    assert [step for step in range(1000) if schedule.due(step)] == [100, 150, 200, 250, 300]
    again = PruningSchedule(begin=0, end=10, interval=10, after=20)
    assert [step for step in range(60) if again.due(step)] == [0, 10, 30, 50]
    assert not any(PruningSchedule().due(step) for step in range(10))
    constant = PruningSchedule(begin=0, end=10, interval=5, start=1.0)
    assert [constant.fraction(step) for step in (0, 5, 10)] == [1.0, 1.0, 1.0]


def test_impossible_schedule():
    with pytest.raises(UserError, match="no smaller than begin"):
        PruningSchedule(begin=10, end=5)


def two_layers() -> nn.Module:
    torch.manual_seed(0)
    return nn.ModuleDict({"a": MaskedLinear(8, 4, levels=2), "b": MaskedLinear(4, 8, levels=2)})


def test_masks_of_several_sparsities_and_their_report():
    module = two_layers()
    estimate_masks(module, (0.5, 0.75), (2, 2))
    check_masks(module, (0.5, 0.75), (2, 2))
    assert [layer["kept_share"] for layer in layer_report(nn.ModuleDict({"ffn": module}), 2)] == [0.25, 0.25]
    with pytest.raises(UserError, match="layer a .* was not pruned to that sparsity"):
        check_masks(module, (0.5, 0.9), (2, 2))
    module["b"].masks[0, 0, 0] ^= True
    with pytest.raises(UserError, match="layer b is not made of whole blocks"):
        check_masks(module, (0.5, 0.75), (2, 2))


def test_a_block_that_does_not_divide_a_layer_is_named():
    with pytest.raises(UserError, match="blocks of 3x2 do not divide layer a of 4x8"):
        estimate_masks(two_layers(), (0.5, 0.75), (3, 2))


def test_a_new_estimate_can_bring_a_weight_back():
    layer = nn.ModuleDict({"a": MaskedLinear(2, 1, levels=1)})
    with torch.no_grad():
        layer["a"].weight.copy_(torch.tensor([[1.0, 2.0]]))
    estimate_masks(layer, (0.5,), (1, 1))
    assert layer["a"].masks[0].tolist() == [[False, True]]
    with torch.no_grad():
        layer["a"].weight.copy_(torch.tensor([[3.0, 2.0]]))
    estimate_masks(layer, (0.5,), (1, 1))
    assert layer["a"].masks[0].tolist() == [[True, False]]


def test_only_the_dense_branch_trains_pruned_weights():
    layer = MaskedLinear(2, 1, levels=1)
    layer.masks[0] = torch.tensor([[True, False]])
    x = torch.ones(1, 2)
    layer(x, 1).sum().backward()
    assert layer.weight.grad.tolist() == [[1.0, 0.0]]
    layer.weight.grad = None
    layer(x, 0).sum().backward()
    assert layer.weight.grad.tolist() == [[1.0, 1.0]]
