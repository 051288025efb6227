import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dualmode.encoder.feed_forward import FeedForward
from dualmode.errors import UserError
from dualmode.supernet.granularity import Blocks, NOfM, WholeUnits
from dualmode.supernet.masked_linear import MaskedLinear
from dualmode.supernet.pruning import PruningRule, PruningSchedule, check_masks, estimate_masks
from dualmode.supernet.report import layer_report
from dualmode.supernet.view import ALL, View


def pruned(weight: torch.Tensor, *sparsities: float, granularity, **settings) -> torch.Tensor:
    """Return the masks (sparsities, out, in) of a layer with this weight."""
    layer = MaskedLinear(*reversed(weight.shape), levels=len(sparsities))
    with torch.no_grad():
        layer.weight.copy_(weight)
    module, rule = nn.ModuleDict({"a": layer}), PruningRule(sparsities, granularity, **settings)
    estimate_masks(module, rule)
    check_masks(module, rule)
    return layer.masks


def test_the_blocks_of_largest_mean_magnitude_are_kept():
    weight = torch.tensor([[1.0, -1.0, 0.0, 0.5], [3.0, 0.0, 0.0, -0.1]])
    # Mean magnitudes of the 2x2 blocks: left (1 + 1 + 3 + 0) / 4 = 1.25, right (0 + 0.5 + 0 + 0.1) / 4 = 0.15.
    expected = torch.tensor([[True, True, False, False], [True, True, False, False]])
    assert torch.equal(pruned(weight, 0.5, granularity=Blocks(2, 2))[0], expected)


SPARSITIES = st.lists(st.floats(0.01, 0.99), min_size=1, max_size=4, unique=True).map(sorted).map(tuple)


@given(
    rows=st.integers(1, 4),
    columns=st.integers(1, 4),
    down=st.integers(1, 6),
    across=st.integers(1, 6),
    sparsities=SPARSITIES,
    seed=st.integers(0, 2**16),
    equal=st.booleans(),
)
def test_masks_are_whole_blocks_of_their_sparsity_and_nested(rows, columns, down, across, sparsities, seed, equal):
    weight = torch.randn(rows * down, columns * across, generator=torch.Generator().manual_seed(seed))
    masks = pruned(torch.ones_like(weight) if equal else weight, *sparsities, granularity=Blocks(rows, columns))
    for sparsity, mask in zip(sparsities, masks, strict=True):
        blocks = mask.reshape(down, rows, across, columns).transpose(1, 2).reshape(down * across, -1)
        assert torch.equal(blocks.any(dim=1), blocks.all(dim=1))
        assert blocks.any(dim=1).sum() == round((1 - sparsity) * down * across)
    assert not (masks[1:] & ~masks[:-1]).any()


@given(m=st.sampled_from([2, 4, 8]), down=st.integers(1, 5), across=st.integers(1, 5), seed=st.integers(0, 2**16))
def test_every_group_of_m_keeps_its_n_best(m, down, across, seed):
    weight = torch.randn(down, m * across, generator=torch.Generator().manual_seed(seed))
    for n, mask in zip(
        range(m - 1, 0, -1), pruned(weight, *(k / m for k in range(1, m)), granularity=NOfM(m)), strict=True
    ):
        for group, kept in zip(weight.abs().reshape(-1, m), mask.reshape(-1, m), strict=True):
            assert kept.sum() == n and group[kept].min() >= group[~kept].max()


def test_two_of_four_cannot_be_seventy_percent():
    with pytest.raises(UserError, match="a sparsity of 0.7 keeps 1.2 of 4 weights"):
        PruningRule((0.7,), NOfM(4))


def test_equal_weights_are_pruned_the_same_way_everywhere():
    masks = pruned(torch.ones(2, 4), 0.5, granularity=Blocks(1, 1))
    assert torch.equal(masks[0], torch.tensor([[True] * 4, [False] * 4]))
    masks = pruned(torch.tensor([[1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 1.0, 1.0]]), 0.5, granularity=NOfM(4))
    assert masks[0].int().tolist() == [[1, 1, 0, 0, 1, 1, 0, 0]]


@given(sparsities=SPARSITIES, seed=st.integers(0, 2**16), low=st.floats(0.0, 1.0), high=st.floats(0.0, 1.0))
def test_global_scope_keeps_its_share_within_the_bounds_of_each_layer(sparsities, seed, low, high):
    least, most = low * (1 - sparsities[-1]), 1 - high * sparsities[0]
    generator = torch.Generator().manual_seed(seed)
    module = nn.ModuleDict({"a": MaskedLinear(8, 8, len(sparsities)), "b": MaskedLinear(16, 4, len(sparsities))})
    with torch.no_grad():
        for scale, layer in zip((1.0, 3.0), module.values(), strict=True):
            layer.weight.copy_(scale * torch.randn(layer.weight.shape, generator=generator))
    rule = PruningRule(sparsities, Blocks(2, 2), "global", (least, most))
    estimate_masks(module, rule)
    check_masks(module, rule)
    for level, sparsity in enumerate(sparsities):
        kept = [int(layer.masks[level].sum()) // 4 for layer in module.values()]
        assert abs(sum(kept) - (1 - sparsity) * 32) <= 1
        bounds = math.floor(least * 16 + 1e-6), math.ceil(max(most, 1 - sparsity) * 16 - 1e-6)
        assert all(bounds[0] <= count <= bounds[1] for count in kept)


@pytest.mark.parametrize("bounds", [(0.3, 1.0), (0.0, 0.3), (0.3, 0.3), (0.29, 0.31)])
@pytest.mark.parametrize("sizes", [[(5, 1)] * 40, [(8, 1)] * 40, [(3, 3)] * 40, [(17, 1), (5, 2), (3, 1)] * 9])
def test_bounds_near_the_share_leave_it_as_it_is(sizes, bounds):
    """Shares of a layer are seldom whole numbers of groups, and rounded alike they would add up over many layers."""
    module = nn.ModuleList(MaskedLinear(inner, out) for out, inner in sizes)
    rule = PruningRule((0.7,), Blocks(1, 1), "global", bounds)
    estimate_masks(module, rule)
    check_masks(module, rule)
    assert sum(int(layer.masks.sum()) for layer in module) == int(0.3 * sum(out * inner for out, inner in sizes) + 1e-6)
    for layer in module:
        least, most = (bound * layer.masks.numel() for bound in bounds)
        assert least - 1 < layer.masks.sum() < most + 1


@pytest.mark.parametrize(("sparsity", "bounds"), [(0.9, (0.1, 1.0)), (0.8, (0.2, 1.0)), (0.7, (0.0, 0.3))])
def test_a_bound_may_be_what_is_kept_of_all(sparsity, bounds):
    """1 - 0.9 is not 0.1 in floating point."""
    PruningRule((sparsity,), Blocks(1, 1), "global", bounds)
    with pytest.raises(UserError, match="outside the layer_share"):
        PruningRule((sparsity - 0.01, sparsity + 0.01), Blocks(1, 1), "global", bounds)


def test_global_scope_prunes_the_layer_of_small_weights_more():
    module = nn.ModuleDict({"a": MaskedLinear(2, 2), "b": MaskedLinear(2, 2)})
    with torch.no_grad():
        module["a"].weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        module["b"].weight.copy_(torch.tensor([[5.0, 6.0], [7.0, 8.0]]))
    estimate_masks(module, PruningRule((0.5,), Blocks(1, 1), "global"))
    assert not module["a"].masks.any() and module["b"].masks.all()
    estimate_masks(module, PruningRule((0.5,), Blocks(1, 1), "global", (0.25, 1.0)))
    assert module["a"].masks[0].tolist() == [[False, False], [False, True]]
    assert module["b"].masks[0].tolist() == [[False, True], [True, True]]


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
    once = PruningSchedule(begin=10, end=10, interval=5)
    assert [once.fraction(step) for step in (0, 9, 10, 11)] == [0.0, 0.0, 1.0, 1.0]
    assert [step for step in range(60) if once.due(step)] == [10]


def test_impossible_schedule():
    with pytest.raises(UserError, match="no smaller than begin"):
        PruningSchedule(begin=10, end=5)


def two_layers() -> nn.Module:
    torch.manual_seed(0)
    return nn.ModuleDict({"a": MaskedLinear(8, 4, levels=2), "b": MaskedLinear(4, 8, levels=2)})


def test_masks_of_several_sparsities_and_their_report():
    module = two_layers()
    rule = PruningRule((0.5, 0.75), Blocks(2, 2))
    estimate_masks(module, rule)
    check_masks(module, rule)
    assert [layer["kept_share"] for layer in layer_report(nn.ModuleDict({"ffn": module}), 2)] == [0.25, 0.25]
    with pytest.raises(UserError, match="mask of layer a keeps 0.25 .* was not pruned to that sparsity"):
        check_masks(module, PruningRule((0.5, 0.99), Blocks(2, 2)))
    module["b"].masks[0, 0, 0] ^= True
    with pytest.raises(UserError, match="layer b is not made of blocks of 2x2"):
        check_masks(module, rule)
    estimate_masks(module, rule)
    module["b"].masks[1] = ~module["b"].masks[0]
    with pytest.raises(UserError, match="layer b are not nested"):
        check_masks(module, rule)


def test_a_block_that_does_not_divide_a_layer_is_named():
    with pytest.raises(UserError, match="blocks of 3x2 do not divide layer a of 4x8"):
        estimate_masks(two_layers(), PruningRule((0.5, 0.75), Blocks(3, 2)))


def test_a_new_estimate_can_bring_a_weight_back():
    layer = nn.ModuleDict({"a": MaskedLinear(2, 1, levels=1)})
    with torch.no_grad():
        layer["a"].weight.copy_(torch.tensor([[1.0, 2.0]]))
    assert estimate_masks(layer, PruningRule((0.5,), Blocks(1, 1))) == 0.5  # it had kept both
    assert layer["a"].masks[0].tolist() == [[False, True]]
    with torch.no_grad():
        layer["a"].weight.copy_(torch.tensor([[3.0, 2.0]]))
    assert estimate_masks(layer, PruningRule((0.5,), Blocks(1, 1))) == 1.0
    assert layer["a"].masks[0].tolist() == [[True, False]]
    assert estimate_masks(layer, PruningRule((0.5,), Blocks(1, 1))) == 0.0


@pytest.mark.parametrize("granularity", [Blocks(1, 1), Blocks(4, 2), Blocks(2, 4), NOfM(4), WholeUnits()], ids=str)
@given(seed=st.integers(0, 2**16))
def test_an_estimate_says_how_much_it_changed(granularity, seed):
    torch.manual_seed(seed)
    module = nn.ModuleDict({"a": FeedForward(8, 16, 0.0, 2)})
    rule = PruningRule((0.25, 0.5), granularity)
    layers = module["a"].up, module["a"].down
    for _ in range(3):
        before = [layer.masks.clone() for layer in layers]
        change = estimate_masks(module, rule)
        different = [(old != layer.masks).float().mean() for old, layer in zip(before, layers, strict=True)]
        assert change.item() == pytest.approx(torch.stack(different).mean().item())  # both are of the same size
        for layer in layers:
            nn.init.normal_(layer.weight)


def test_only_the_dense_branch_trains_pruned_weights():
    layer = MaskedLinear(2, 1, levels=1)
    layer.masks[0] = torch.tensor([[True, False]])
    x = torch.ones(1, 2)
    layer(x, View(1)).sum().backward()
    assert layer.weight.grad.tolist() == [[1.0, 0.0]]
    layer.weight.grad = None
    layer(x, ALL).sum().backward()
    assert layer.weight.grad.tolist() == [[1.0, 1.0]]
