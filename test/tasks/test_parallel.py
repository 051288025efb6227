"""Several processes over gloo train what one process trains."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # the processes import it, too
from parallel_training import batches, build, disagree, process, train  # noqa: E402

from dualmode.encoder.two_branch import TwoBranchModel  # noqa: E402

context = torch.multiprocessing.get_context("spawn")


def run(target, world, tmp_path, *more):
    out = tmp_path / "out"
    out.mkdir()
    started = [
        context.Process(target=target, args=(rank, world, tmp_path / "meet", out, *more)) for rank in range(world)
    ]
    for one in started:
        one.start()
    for one in started:
        one.join(240)
        one.kill()
    assert [one.exitcode for one in started] == [0] * world
    return out


@pytest.mark.parametrize(
    ("kind", "world", "accumulated", "within"),
    [("ctc", 2, 1, 1e-9), ("ctc", 3, 1, 1e-9), ("rnnt", 2, 1, 1e-4), ("ctc", 2, 2, 1e-9)],
    ids=str,
)
def test_processes_compute_what_one_computes(kind, world, accumulated, within, tmp_path):
    """20 updates in float64, masks moving: gradients of the whole batch, and the same masks; the RNN-T's is float32."""
    updates = 20 * accumulated
    out = run(process, world, tmp_path, kind, updates, accumulated, {})
    alone = train(build(kind), batches(updates, 2 * world), 0, 1, accumulated)
    assert len({tuple(mask.tolist()) for mask in alone["masks"]}) > 3
    for rank in range(world):
        found = torch.load(out / f"{rank}.pt", weights_only=True)
        for name, gradient in alone["gradients"].items():
            torch.testing.assert_close(found["gradients"][name], gradient, atol=within, rtol=0)
        assert all(torch.equal(one, other) for one, other in zip(found["masks"], alone["masks"], strict=True))


def test_a_block_that_no_process_runs_takes_part(tmp_path):
    """200 batches with the layer drop of the large plan, and a block so often dropped that all branches skip it."""
    out = run(process, 2, tmp_path, "ctc", 200, 1, {"layer_drop_rate": 0.5, "num_blocks": 1})
    first, second = (torch.load(out / f"{rank}.pt", weights_only=True)["weights"] for rank in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("what", ["weights", "masks", "step"])
def test_processes_that_differ_stop_and_say_in_what(what, tmp_path):
    out = run(disagree, 2, tmp_path, what)
    for rank in range(2):
        assert f"process 1 of the training and process 0 have different {what}: " in (out / f"{rank}.txt").read_text()


def test_masks_change_between_updates_only(monkeypatch):
    model, changed = build("ctc").train(), []
    monkeypatch.setattr(TwoBranchModel, "_can_be_ranked", lambda self: True)
    model.accumulated = 4
    for number, batch in enumerate(batches(16, 2), start=1):
        model.begins_update = (number - 1) % 4 == 0
        if "mask_change" in model(**batch)[1]:
            changed.append(number)
    # due before batches 3, 5, 7, 9, 11 and 13 (steps 2 to 12); updates begin with batches 1, 5, 9 and 13
    assert changed == [5, 9, 13]


def test_what_all_draw_alike_follows_from_seed_and_step():
    draws = []
    for noise in (0, 1):
        model = build("ctc").train()
        torch.manual_seed(noise)
        draws.append([])
        for _ in range(8):
            model.begin_batch()
            draws[-1].append(model.draw_branches()[1].subnet)
    assert draws[0] == draws[1] and len(set(draws[0])) > 2
    other = build("ctc").train()
    other.seed = 1
    later = []
    for _ in range(8):
        other.begin_batch()
        later.append(other.draw_branches()[1].subnet)
    assert later != draws[0]
