import warnings

import pytest
import torch

from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.encoder.two_branch import BranchWeights, Judgement, TwoBranchModel
from dualmode.errors import UserError
from dualmode.supernet.pruning import PruningSchedule
from dualmode.supernet.subnet import DENSE

CONF = {"output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4}


def tiny(schedule=None, **branches):
    torch.manual_seed(0)
    encoder = DualModeEncoder(EncoderConfig(**CONF, sparsities=(0.5, 0.75), chunk_ms=(160, 320), dropout_rate=0.0))
    return TwoBranchModel(encoder, schedule or PruningSchedule(), BranchWeights(**branches))


def run(model, judge):
    x, lengths = model.encoder.embed(torch.randn(2, 50, 80), torch.tensor([50, 30]))
    return model.run_branches(x, lengths, judge)


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"dense": -0.5}, "dense is -0.5: it must be a number of 0 or more"),
        ({"sparse": float("nan")}, "sparse is nan"),
        ({"sparse": float("inf")}, "sparse is inf"),
        ({"sparse": "much"}, "sparse is 'much'"),
        ({"dense": True}, "dense is True"),
        ({"dense": 0, "sparse": 0}, "both 0"),
        ({"schedule": "dense first"}, "it must be both or alternate"),
        ({"backward": "twice"}, "backward is 'twice': it must be joint or apart"),
        ({"schedule": "alternate", "dense": 0.0}, "dense is 0 and schedule .* set schedule: both"),
    ],
)
def test_impossible_weights_are_named(conf, words):
    with pytest.raises(UserError, match=words):
        BranchWeights(**conf)


def test_the_loss_is_the_sum_of_the_branches_by_their_shares():
    model = tiny(dense=0.5, sparse=3.0).eval()
    seen = []

    def judge(branch, encoded, _):
        seen.append((branch.name, branch.subnet, tuple(encoded.shape)))
        loss = torch.tensor({"dense": 2.0, "sparse": 5.0}[branch.name])
        return Judgement(loss, {"accuracy": loss / 10}, branch.name.upper())

    loss, outputs, stats = run(model, judge)
    assert loss == 0.5 * 2 + 3 * 5
    assert outputs == {"dense": "DENSE", "sparse": "SPARSE"}
    assert {name: value.item() for name, value in stats.items()} == pytest.approx(
        {"loss_dense": 2.0, "accuracy_dense": 0.2, "loss_sparse": 5.0, "accuracy_sparse": 0.5}
    )
    usual = model.encoder.config.default_subnet()
    assert seen == [("dense", DENSE, (2, 11, 16)), ("sparse", usual, (2, 11, 16))]


def test_a_branch_of_share_0_is_not_run():
    _, outputs, _ = run(
        tiny(dense=0.0), lambda branch, encoded, _: Judgement(encoded.sum(), output=branch.subnet.sparsity)
    )
    assert list(outputs) == ["sparse"]


def test_training_draws_every_sparsity_and_context_and_validation_the_usual_one():
    model = tiny().train()
    drawn = {model.draw_branches()[1].subnet for _ in range(200)}
    config = model.encoder.config
    assert {(s.sparsity, s.context) for s in drawn} == {(s, c) for s in (0.5, 0.75) for c in config.contexts}
    assert {model.eval().draw_branches()[1].subnet for _ in range(20)} == {config.default_subnet()}


def test_turns_do_not_change_what_is_drawn():
    """A batch draws its sparse sub-network whether or not it runs it."""
    draws = {}
    for schedule in ("both", "alternate"):
        model = tiny(schedule=schedule).train()
        model.encoder.draws.manual_seed(3)
        fresh = torch.rand((), generator=model.encoder.draws).item()
        model.encoder.draws.manual_seed(3)
        model.step = 1  # the dense branch's turn
        model.draw_branches()
        draws[schedule] = torch.rand((), generator=model.encoder.draws).item()
    assert draws["both"] == draws["alternate"] != fresh


def test_masks_are_found_before_the_batch_that_is_due():
    model = tiny(PruningSchedule(begin=1, end=3, interval=1)).train()
    kept = []
    for _ in range(5):
        stats = model.begin_batch()
        masks = model.encoder.blocks[0].ffn1.up.masks
        kept.append((masks[1].float().mean().item(), "mask_change" in stats))
    # 0.75 of the cubic ramp from batch 1 to 3: 0, 1 - (1/2) ** 3 = 7/8, 1
    assert [share for share, _ in kept] == pytest.approx(
        [1.0, 1.0, 1 - 0.75 * 7 / 8, 0.25, 0.25], abs=1 / 32
    )  # 16 blocks: half of one
    assert [found for _, found in kept] == [False, True, True, True, False]
    assert model.step == 5
    model.eval().begin_batch()
    assert model.step == 5


def test_the_old_module_name_still_opens_and_says_when_it_ends():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        import importlib
        import sys

        sys.modules.pop("dualmode.supernet.self_pruning", None)
        old = importlib.import_module("dualmode.supernet.self_pruning")
    assert old.BranchWeights is BranchWeights
    assert any("dualmode.encoder.two_branch now" in str(warning.message) for warning in said)
