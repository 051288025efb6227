import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualmode.errors import UserError
from dualmode.tasks.batch_size import MUCH, complete_batch, plan_update


@given(hours=st.floats(0.01, 5), bins=st.integers(100, 50000), gpus=st.integers(1, 128))
def test_an_update_misses_the_reference_by_half_a_batch_at_most(hours, bins, gpus):
    batch_h = bins * gpus / 360000
    plan = plan_update(gpus, bins, hours)
    assert plan.accum_grad >= 1 and plan.hours == pytest.approx(plan.accum_grad * batch_h)
    assert abs(plan.hours - hours) <= batch_h / 2 + 1e-9 or (plan.accum_grad == 1 and batch_h > hours)
    assert (plan.warning is None) == (plan.hours <= MUCH * hours)


def test_an_update_that_is_too_large_is_said_by_how_much(capsys):
    complete_batch(options(reference_batch_h=1.6, batch_bins=72000, ngpu=1, distributed=True, dist_world_size=64))
    out = capsys.readouterr().out
    # 64 x 720 s = 12.8 h; 1.6 h x 3600 s / 64 = 90 s
    assert "warning: an update is 12.8 h of audio, 8 times reference_batch_h (1.6): lower batch_bins to 9000" in out


@pytest.mark.parametrize("gpus", [1, 2, 8])
def test_the_plan_in_updates_does_not_depend_on_the_gpus(gpus):
    args = options(reference_batch_h=1.6, batch_bins=72000, updates_per_epoch=1000, ngpu=1)
    args.distributed, args.dist_world_size = gpus > 1, gpus
    complete_batch(args)
    assert args.num_iters_per_epoch // args.accum_grad == 1000 and args.batch_bins * args.accum_grad == 8 * 72000


def options(**changed) -> argparse.Namespace:
    defaults = {
        "reference_batch_h": None, "batch_bins": 18000, "batch_type": "length", "accum_grad": 1, "ngpu": 0,
        "distributed": False, "dist_world_size": None, "dist_launcher": None, "dist_rank": 0,
        "num_iters_per_epoch": None, "updates_per_epoch": None,
        "checkpoint_every": None, "checkpoint_minutes": None, "window_h": None, "scheduler": None, "scheduler_conf": {},
    }  # fmt: skip
    return argparse.Namespace(**{**defaults, **changed})


def test_the_batch_of_all_gpus_follows_from_that_of_one(capsys):
    args = options(reference_batch_h=1.6, ngpu=1, distributed=True, dist_world_size=8, dist_rank=0)
    complete_batch(args)
    # 8 GPUs x 180 s = 0.4 h; four of these are 1.6 h.
    assert (args.batch_bins, args.accum_grad, args.reference_batch_h) == (144000, 4, None)
    assert "8 GPUs" in capsys.readouterr().out


def test_checkpoints_fall_between_updates():
    args = options(accum_grad=4, checkpoint_every=10)
    complete_batch(args)
    assert args.checkpoint_every == 12


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"reference_batch_h": 0.0}, "reference_batch_h is 0"),
        ({"reference_batch_h": 1.0, "batch_type": "folded"}, "batch_type length, not folded"),
        ({"accum_grad": 4, "num_iters_per_epoch": 3}, "raise num_iters_per_epoch"),
        ({"checkpoint_every": 0}, "checkpoint_every is 0"),
        ({"checkpoint_minutes": 0.0}, "checkpoint_minutes is 0: it must be above 0"),
        ({"updates_per_epoch": 0}, "updates_per_epoch is 0"),
        ({"updates_per_epoch": 3, "num_iters_per_epoch": 3}, "give one of them"),
    ],
)
def test_impossible_values(changed, words):
    with pytest.raises(UserError, match=words):
        complete_batch(options(**changed))
