"""The sparse branch at the cost of what it keeps: the same outputs and gradients as with masks multiplied in."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import ALL_UNITS, Block, DualModeEncoder
from dualmode.supernet.masked_linear import prunable
from dualmode.supernet.pruning import estimate_masks
from dualmode.supernet.subnet import Context, Subnet

CONF = {
    "output_size": 16,
    "num_blocks": 2,
    "attention_heads": 4,
    "linear_units": 24,
    "kernel_size": 5,
    "subsampling_channels": 4,
    "dropout_rate": 0.0,
}


def build(sparsities=(0.7,), **conf):
    torch.manual_seed(0)
    encoder = DualModeEncoder(EncoderConfig(**CONF, sparsities=sparsities, **conf)).double().train()
    estimate_masks(encoder, encoder.config.pruning)
    return encoder


def run(encoder, features, lengths, subnet, masked, monkeypatch):
    """Return outputs and gradients, with pruned units left out or multiplied by zeros."""
    with monkeypatch.context() as patch:
        if masked:
            patch.setattr(Block, "kept", lambda self, view: ALL_UNITS)
        encoder.zero_grad()
        out, frames = encoder(features, lengths, subnet)
        real = torch.arange(out.shape[1]) < frames[:, None]
        weights = torch.linspace(-1, 1, out[real].numel(), dtype=out.dtype).view_as(out[real])
        (out[real] * weights).sum().backward()
    return out[real].detach(), {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}


@pytest.fixture(scope="module")
def patch():
    with pytest.MonkeyPatch.context() as context:
        yield context


@given(
    sparsity=st.sampled_from([0.1, 0.5, 0.7, 0.95]),
    separate=st.booleans(),
    context=st.sampled_from([Context(), Context(4, 8), Context(3, 5, 2)]),
    lengths=st.lists(st.integers(20, 90), min_size=1, max_size=3),
    second=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_outputs_and_gradients_are_those_of_the_masked_branch(patch, sparsity, separate, context, lengths, second):
    sparsities = (0.05, sparsity) if second else (sparsity,)
    encoder = build(sparsities, separate_norms=separate)
    random = torch.Generator().manual_seed(sum(lengths))
    features = torch.randn(len(lengths), max(lengths), 80, generator=random, dtype=torch.float64)
    subnet = Subnet(sparsity, context)
    out, gradients = run(encoder, features, torch.tensor(lengths), subnet, False, patch)
    expected, of_masked = run(encoder, features, torch.tensor(lengths), subnet, True, patch)
    torch.testing.assert_close(out, expected, atol=1e-10, rtol=0)
    assert gradients.keys() == of_masked.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, of_masked[name], atol=1e-10, rtol=1e-8, msg=name)


def test_pruned_units_get_no_gradient_and_cost_nothing(monkeypatch):
    encoder, multiplied = build(), []
    linear = torch.nn.functional.linear
    monkeypatch.setattr(
        "torch.nn.functional.linear", lambda x, w, b=None: multiplied.append(w.numel()) or linear(x, w, b)
    )
    features = torch.randn(1, 60, 80, dtype=torch.float64)
    encoder(features, torch.tensor([60]), Subnet(0.7, Context(4, 8)))[0].sum().backward()
    kept = sum(int(layer.masks[0].sum()) for _, layer in prunable(encoder))
    assert sum(multiplied) == kept + encoder.subsampling.project.weight.numel()
    for _, layer in prunable(encoder):
        assert not layer.weight.grad[~layer.masks[0]].any()


def changed_in_place(encoder):
    for parameter in encoder.parameters():
        parameter.data = torch.randn_like(parameter)
    estimate_masks(encoder, encoder.config.pruning)


def loaded(encoder):
    other = build()
    changed_in_place(other)
    encoder.load_state_dict(other.state_dict())


@pytest.mark.parametrize("change", [changed_in_place, loaded])
def test_what_is_kept_is_found_anew_when_the_masks_change(change, monkeypatch):
    encoder, features, lengths = build(), torch.randn(1, 60, 80, dtype=torch.float64), torch.tensor([60])
    subnet = Subnet(0.7, Context(4, 8))
    before, _ = run(encoder, features, lengths, subnet, False, monkeypatch)
    change(encoder)
    after, _ = run(encoder, features, lengths, subnet, False, monkeypatch)
    expected, _ = run(encoder, features, lengths, subnet, True, monkeypatch)
    torch.testing.assert_close(after, expected, atol=1e-10, rtol=0)
    assert not torch.allclose(before, after)


def test_indices_are_found_once_for_all_passes_and_not_in_a_copy(monkeypatch):
    encoder, view = build(), build().config.view(0.7)
    block = encoder.blocks[0]
    first = block.kept(view)
    assert all(one is other for one, other in zip(first, block.kept(view), strict=True))
    twin = copy.deepcopy(encoder)
    twin.blocks[0].ffn1.up.masks[:] = True
    twin.blocks[0].ffn1.down.masks[:] = True
    assert len(twin.blocks[0].kept(view)[0].units) == 24 and len(block.kept(view)[0].units) == 7
    with torch.inference_mode():  # what is found there cannot be used by training afterwards
        other = build()
        other.blocks[0].kept(view)
    features = torch.randn(1, 60, 80, dtype=torch.float64)
    with torch.inference_mode():
        encoder(features, torch.tensor([60]), Subnet(0.7, Context(4, 8)))
    encoder(features, torch.tensor([60]), Subnet(0.7, Context(4, 8)))[0].sum().backward()


def test_masks_of_other_granularities_are_multiplied_in(monkeypatch):
    encoder = build(granularity="blocks")
    assert encoder.blocks[0].kept(encoder.config.view(0.7)) == ALL_UNITS
