import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualmode.errors import UserError
from dualmode.tasks.base import complete_batch
from dualmode.tasks.batch_size import accumulation


@given(hours=st.floats(0.01, 5), bins=st.integers(100, 50000), gpus=st.integers(1, 128))
def test_an_update_misses_the_reference_by_half_a_batch_at_most(hours, bins, gpus):
    batch_h = bins * gpus / 360000
    count = accumulation(hours, bins, gpus)
    assert count >= 1
    assert abs(count * batch_h - hours) <= batch_h / 2 + 1e-9 or (count == 1 and batch_h > hours)


def options(**changed) -> argparse.Namespace:
    defaults = {
        "reference_batch_h": None, "batch_bins": 18000, "batch_type": "length", "accum_grad": 1, "ngpu": 0,
        "distributed": False, "dist_world_size": None, "dist_launcher": None, "dist_rank": None,
        "num_iters_per_epoch": None, "checkpoint_every": None,
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
    ],
)
def test_impossible_values(changed, words):
    with pytest.raises(UserError, match=words):
        complete_batch(options(**changed))
