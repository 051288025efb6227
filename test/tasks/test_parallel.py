"""Several processes over gloo train what one process trains."""

import pickle
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # the processes import it, too
import parallel_training  # noqa: E402
from parallel_training import (
    HIDDEN_SHORT,
    batches,
    build,
    disagree,
    hide_nothing,
    process,
    report,
    spoilt,
    stop,
    train,
    validate,
)  # noqa: E402

from dualmode.cluster.task import REQUEUE  # noqa: E402
from dualmode.encoder.two_branch import TwoBranchModel  # noqa: E402
from dualmode.pretrain.alarm import AlarmConfig, alarms  # noqa: E402
from dualmode.tasks.trainer import own_noise  # noqa: E402

PATIENCE_S = 900  # on a busy machine


@pytest.fixture
def run(server, tmp_path):
    """Run a function as each of ``world`` processes; returns the folder that they write to."""

    def run(target, world, *more):
        out = tmp_path / "out"
        out.mkdir()
        calls = [(target, (rank, world, tmp_path / "meet", out, *more)) for rank in range(world)]
        # As bytes: multiprocessing would hand over a file descriptor for each tensor, of which it takes some 250.
        started = [server.Process(target=parallel_training.start, args=(pickle.dumps(call),)) for call in calls]
        for one in started:
            one.start()
        for one in started:
            one.join(PATIENCE_S)
            one.kill()
        assert [one.exitcode for one in started] == [0] * world
        return out

    return run


@pytest.fixture
def given_draws(monkeypatch):
    """Put back afterwards what give_draws replaces in this process."""
    monkeypatch.setattr(parallel_training.pretraining, "span_mask", None)
    monkeypatch.setattr(parallel_training.contrastive, "sample_distractors", None)
    monkeypatch.setattr(parallel_training.branch, "rnnt_losses", None)
    monkeypatch.setattr(torch.nn.functional, "gumbel_softmax", None)
    parallel_training.give_draws()


@pytest.mark.parametrize(
    ("kind", "world", "accumulated"),
    [
        ("ctc", 2, 1),
        ("pretrain", 2, 1),
        ("rnnt", 2, 2),
        ("ctc in turn", 2, 2),
        pytest.param("ctc", 3, 2, marks=pytest.mark.slow),
        pytest.param("rnnt", 3, 1, marks=pytest.mark.slow),
        pytest.param("pretrain", 3, 1, marks=pytest.mark.slow),
        pytest.param("rnnt in turn", 2, 1, marks=pytest.mark.slow),
        pytest.param("pretrain in turn", 2, 1, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_processes_compute_what_one_computes(kind, world, accumulated, run, given_draws):
    """20 updates in float64, masks moving: the gradients of every update as one batch, and the same masks.

    The utterances do not divide by the processes, so shares differ in weight; the pre-training's in hidden frames, too,
    and every fifth update has a process that hides none.
    """
    data = batches(20, 2 * world * accumulated - 1)
    out = run(process, world, kind, data, accumulated, {}, True)
    alone = train(build(kind), data, 0, 1)
    assert len(alone["gradients"]) == 20 and len({tuple(mask.tolist()) for mask in alone["masks"]}) > 3
    for rank in range(world):
        found = torch.load(out / f"{rank}.pt", weights_only=True)
        for theirs, ours in zip(found["gradients"], alone["gradients"], strict=True):
            for name, gradient in ours.items():
                torch.testing.assert_close(theirs[name], gradient, atol=1e-9, rtol=0)
        assert all(torch.equal(one, other) for one, other in zip(found["masks"], alone["masks"], strict=True))
        torch.testing.assert_close(found["totals"], alone["totals"], atol=1e-9, rtol=0)
        assert torch.equal(found["chosen"], alone["chosen"]), "codes are counted over all processes"


@pytest.mark.parametrize("kind", ["ctc", "rnnt", "ctc in turn"])
def test_accumulated_batches_of_unequal_weight_are_one_batch(kind, given_draws):
    data = batches(3, 5)
    whole, parts = (train(build(kind), data, 0, 1, accumulated) for accumulated in (1, 3))  # 2, 2 and 1 utterances
    for ours, theirs in zip(whole["gradients"], parts["gradients"], strict=True):
        for name, gradient in ours.items():
            torch.testing.assert_close(theirs[name], gradient, atol=1e-9, rtol=0)
    torch.testing.assert_close(parts["totals"], whole["totals"], atol=1e-9, rtol=0)


def test_a_batch_whose_loss_is_no_number_counts_nothing_and_the_rest_of_its_update_does(capsys):
    (sound,) = data = batches(1, 4)
    bad = {name: tensor.clone() for name, tensor in sound.items()}
    bad["speech"][1::2] = torch.nan  # the second of two batches
    rest = {name: tensor[::2] for name, tensor in sound.items()}
    expected, found = train(build("ctc"), [rest], 0, 1), train(build("ctc"), [bad], 0, 1, accumulated=2)
    for name, gradient in expected["gradients"][0].items():
        torch.testing.assert_close(found["gradients"][0][name], gradient, atol=1e-9, rtol=0)
    torch.testing.assert_close(found["totals"][:, [0, 2]], expected["totals"][:, [0, 2]], atol=1e-9, rtol=0)
    said = capsys.readouterr().out
    assert "a batch of update 1 is skipped (1 of at most 10 in a row): the ctc loss of utterance u0" in said
    bad["speech"][:] = torch.nan
    nothing = train(build("ctc"), [bad, *data], 0, 1)
    assert nothing["skipped"][0] is not None and nothing["skipped"][1] is None and nothing["step"] == 1


def test_what_is_reported_is_of_all_processes(run):
    """Dead codes, what the alarm looks at, error rates on a share of the validation set, a loss that is no number."""
    data = batches(3, 8)
    out = run(report, 2, data)
    first, second = (torch.load(out / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert first["codes"]["dead0"] == second["codes"]["dead0"] == 0.5  # each process alone would say 0.75
    assert first["tally"] == second["tally"] == {"perplexity0": 7.0}
    assert alarms(first["tally"] | {"chance": 0.1}, AlarmConfig()) == {}  # process 1 alone would ring
    assert first["valid"] == second["valid"]
    # Every process decodes half of its own utterances; its batches count as much as they have tokens.
    halves = [validate([{name: x[rank::2] for name, x in batch.items()} for batch in data]) for rank in range(2)]
    tokens = [sum(int(batch["text_lengths"][rank::2].sum()) for batch in data) for rank in range(2)]
    assert halves[0]["ter_dense"] != halves[1]["ter_dense"]
    for name in ("loss", "ter", "ter_dense", "ter_sparse"):
        mean = sum(count * half[name] for count, half in zip(tokens, halves, strict=True)) / sum(tokens)
        assert first["valid"][name] == pytest.approx(mean, rel=1e-6), name
    assert first["exchanges"] == 1, "gradients meet once an update, not once a batch"
    sound = train(build("ctc"), [{name: tensor[::2] for name, tensor in spoilt(1).items()}], 0, 1)["gradients"][0]
    for found in (first, second):  # process 1 had nothing but NaN
        for name, gradient in sound.items():
            torch.testing.assert_close(found["spoilt"][name], gradient, atol=1e-9, rtol=0)


@pytest.mark.parametrize("short", [0, 1])
def test_a_validation_of_which_one_process_hides_nothing_is_that_of_the_other(run, short):
    """Its values are zeros, and there are as many as the other's: each must meet the one of its name."""
    data = batches(1, 4)
    data[0]["speech_lengths"][short::2] = HIDDEN_SHORT
    out = run(hide_nothing, 2, data)
    rest = {name: tensor[1 - short :: 2] for name, tensor in data[0].items()}
    expected = validate([rest], kind="pretrain")
    for rank in range(2):
        found = torch.load(out / f"{rank}.pt", weights_only=True)
        assert found.keys() == expected.keys() and len(found) > 8
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=1e-5), name


def test_dropout_and_spans_are_each_process_s_own():
    noise = []
    for rank in (0, 1, 2, 1):
        torch.manual_seed(7)  # ESPnet gives every process the epoch's seed
        own_noise(rank)
        noise.append(torch.rand(3).tolist())
    assert noise[1] == noise[3] and len({tuple(one) for one in noise}) == 3


def test_an_update_without_weight_anywhere_is_skipped(run):
    """By two processes, in the middle of a training: no gradient, no step, no count, and nothing is 0 / 0."""
    data = batches(3, 4)
    data[1]["speech_lengths"][:] = HIDDEN_SHORT
    out = run(process, 2, "pretrain", data, 1, {}, False)
    for rank in range(2):
        found = torch.load(out / f"{rank}.pt", weights_only=True)
        assert [why is None for why in found["skipped"]] == [True, False, True]
        assert len(found["gradients"]) == found["step"] == 2 and found["totals"][1, 0] == 0
        assert all(weight.isfinite().all() for weight in found["weights"].values())


@pytest.mark.slow
def test_a_block_that_no_process_runs_takes_part(run):
    """200 updates with a block that is dropped so often that all branches of all processes skip it."""
    out = run(process, 2, "ctc", batches(200, 4), 1, {"layer_drop_rate": 0.5, "num_blocks": 1}, False)
    first, second = (torch.load(out / f"{rank}.pt", weights_only=True)["weights"] for rank in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("what", ["weights", "masks", "step"])
def test_processes_that_differ_stop_and_say_in_what(what, run):
    out = run(disagree, 2, what)
    for rank in range(2):
        assert f"process 1 of the training and process 0 have different {what}: " in (out / f"{rank}.txt").read_text()


def test_no_process_that_is_told_to_stop_ends_before_the_checkpoint_is_written(run):
    """What started them ends the others 30 s after the first, and a large model on a slow disk would be lost."""
    out = run(stop, 2)
    assert [(out / f"{rank}.txt").read_text() for rank in range(2)] == [f"{REQUEUE} True"] * 2


def test_masks_and_draws_change_between_updates_only(monkeypatch):
    model, changed, subnets = build("ctc").train(), [], []
    monkeypatch.setattr(TwoBranchModel, "_can_be_ranked", lambda self: True)
    for number in range(32):
        model.begins_update = number % 4 == 0
        if "mask_change" in model.begin_batch():
            changed.append(number)
        subnets.append(model.draw_branches()[1].subnet)
    # due before updates 2, 4 and so on, counted from 0, whose first batches are 8, 16, ...
    assert changed == [8, 16, 24]
    assert all(len(set(subnets[first : first + 4])) == 1 for first in range(0, 32, 4)) and len(set(subnets)) > 2


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
