"""A fresh encoder: blocks that are the identity, frames that can be told apart, magnitudes that pruning cannot rank."""

import copy

import pytest
import torch

from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.encoder.padding import valid_frames
from dualmode.encoder.two_branch import BranchWeights, TwoBranchModel
from dualmode.errors import UserError
from dualmode.supernet.masked_linear import prunable
from dualmode.supernet.pruning import PruningSchedule, estimate_masks
from dualmode.supernet.subnet import DENSE, Context, Subnet

CHUNKS = Subnet(0.7, Context(16, 32))


@pytest.fixture(scope="module")
def batch(features):
    padded = torch.stack([torch.tensor(features(400, seed)) for seed in range(3)])
    mean, std = padded.mean(dim=(0, 1)), padded.std(dim=(0, 1))
    return (padded - mean) / std, torch.tensor([400, 333, 250])


def varying_share(x, lengths) -> float:
    """Return the share of the energy of x (batch, frames, d) that varies over each utterance's real frames.

    A frame is its mean over time + what varies; the share is 1 where frames have nothing in common and 0 where all are
    the same vector, from which nothing can be learnt.
    """
    real = valid_frames(lengths, x.shape[1]).unsqueeze(-1).to(x.dtype)
    mean = (x * real).sum(dim=1, keepdim=True) / lengths[:, None, None]
    varying = ((x - mean) * real).square().sum() / (x * real).square().sum()
    return round(varying.item(), 6)


@torch.no_grad()
def varying_shares(encoder, features, lengths, subnet) -> list[float]:
    """Return the share after the subsampling and after each block, in a pass as ``subnet``."""
    encoder.eval()
    x, frames = encoder.embed(features, lengths)
    view, layout = encoder.config.view(subnet.sparsity), encoder.layout(frames, x.shape[1], subnet.context)
    shares, rows = [varying_share(x, frames)], layout.arrange(x)
    for block in encoder.blocks:
        rows = block(rows, view, layout)
        shares.append(varying_share(layout.restore(rows), frames))
    return shares


def build(seed=0, **conf):
    torch.manual_seed(seed)
    return DualModeEncoder(EncoderConfig(output_size=32, num_blocks=4, linear_units=64, **conf))


@pytest.mark.parametrize("subnet", [DENSE, CHUNKS], ids=["full context", "chunks"])
def test_a_fresh_block_passes_on_what_it_is_given(fresh_start, batch, subnet):
    encoder, (features, lengths) = build().eval(), batch
    x, frames = encoder.embed(features, lengths)
    normed = torch.nn.functional.layer_norm(x, x.shape[-1:])
    real = torch.arange(x.shape[1]) < frames[:, None]
    torch.testing.assert_close(encoder.encode(x, frames, subnet)[real], normed[real], atol=1e-2, rtol=0)


@pytest.mark.parametrize("subnet", [DENSE, CHUNKS], ids=["full context", "chunks"])
@pytest.mark.parametrize("seed", range(3))
def test_frames_can_be_told_apart_at_every_depth(fresh_start, batch, subnet, seed):
    first, *blocks = varying_shares(build(seed), *batch, subnet)
    assert first > 0.3
    assert min(blocks) > 0.8 * first


def test_random_branches_hide_the_input(batch):
    """What the start is for: without it, the share that varies falls with depth in full context."""
    first, *_, last = varying_shares(build(), *batch, DENSE)
    assert last < 0.3 * first


def test_varying_share_counts_real_frames_only():
    x = torch.tensor([[[1.0, 0.0], [3.0, 0.0], [99.0, 99.0]]])
    assert varying_share(x, torch.tensor([2])) == pytest.approx(2 / 10)  # mean 2: (1 + 1) of (1 + 9)
    assert varying_share(torch.ones(2, 5, 3), torch.tensor([5, 4])) == 0


class Model(TwoBranchModel):
    def __init__(self, encoder, schedule):
        super().__init__(encoder, schedule, BranchWeights())


def kept(model):
    return [layer.masks.float().mean().item() for _, layer in prunable(model)]


@pytest.mark.parametrize("granularity", ["units", "blocks", "unstructured"])
def test_masks_wait_for_weights_that_can_be_ranked(fresh_start, granularity):
    model = Model(build(granularity=granularity), PruningSchedule(0, 100, 10, start=1.0)).train()
    assert model.begin_batch() == {}
    assert set(kept(model)) == {1.0}
    for _, layer in prunable(model):  # one update of all weights
        layer.weight.data += 1e-3 * torch.randn_like(layer.weight)
    for _ in range(9):
        assert model.begin_batch() == {}
    assert model.begin_batch()["mask_change"] > 0.6
    assert max(kept(model)) < 0.4


def test_trained_weights_are_ranked_at_once():
    model = Model(build(), PruningSchedule(0, 100, 10, start=1.0)).train()
    assert model.begin_batch()["mask_change"] > 0.6


def test_masks_found_once_from_nothing_are_refused(fresh_start):
    model = Model(build(), PruningSchedule(0, 0, 1)).train()
    with pytest.raises(UserError, match="weights that have learnt nothing"):
        model.begin_batch()


def test_zeros_are_no_dead_end(fresh_start, batch):
    """Two steps of gradient descent reach every weight: the zeros first, then what stands behind them."""
    encoder = build().train()
    features, lengths = batch
    before = copy.deepcopy(encoder.state_dict())
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.1)
    target = torch.randn(3, 99, 32)
    for _ in range(2):
        out, frames = encoder(features, lengths)
        optimizer.zero_grad()
        ((out - target[:, : out.shape[1]]) ** 2).mean().backward()
        optimizer.step()
    for name, layer in prunable(encoder):
        assert not torch.equal(layer.weight, before[f"{name}.weight"]), name


@pytest.mark.parametrize(
    ("schedule", "settled"),
    [
        (PruningSchedule(2, 5, 1), [0, 0, 0, 0, 0, 1, 1]),  # batch 6 is the first after step 5
        (PruningSchedule(2, 5, 1, start=1.0), [0, 0, 1, 1, 1, 1, 1]),  # at the full sparsity from step 2, batch 3
        (PruningSchedule(4, 4, 1), [0, 0, 0, 0, 1, 1, 1]),  # one shot at step 4, batch 5
        (PruningSchedule(), [None] * 7),  # the masks stay as they are
    ],
    ids=["ramp", "full", "one shot", "none"],
)
def test_validation_says_whether_masks_are_at_their_full_sparsity(schedule, settled):
    model, found = Model(build(), schedule), []
    assert model.eval().settled().get("masks_settled", 0) == 0
    for _ in range(7):
        model.train().begin_batch()
        found.append(model.eval().settled().get("masks_settled"))
    assert found == settled
    assert model.train().settled() == {}


def test_without_a_sparsity_above_0_nothing_is_to_settle():
    model = Model(build(sparsities=[0]), PruningSchedule(2, 5, 1))
    model.train().begin_batch()
    assert model.eval().settled() == {}


def test_masks_of_before_a_training_are_settled_before_its_first_estimate():
    model = Model(build(), PruningSchedule(2, 5, 1, start=1.0)).train()
    estimate_masks(model.encoder, model.encoder.config.pruning)
    model.begin_batch()
    assert model.eval().settled() == {"masks_settled": 1}
