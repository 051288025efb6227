"""What a training that goes on must have as it began; that it goes on rightly: test_resume."""

import argparse
from pathlib import Path

import pytest
import torch
import yaml

from dualmode.asr.build import build_asr_model
from dualmode.errors import UserError
from dualmode.tasks.going_on import (
    check_model_goes_on,
    check_nothing_is_lost,
    check_plan_goes_on,
    say_start_is_unused,
)

CONF = {
    "output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4,
}  # fmt: skip


def begun(tmp_path, **settings):
    plan = {"max_epoch": 8, "num_iters_per_epoch": 100, "accum_grad": 1, "scheduler": "onecyclelr", "optim": "adamw"}
    plan["optim_conf"] = {"lr": 1e-3, "betas": [0.9, 0.98]}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(plan) + "scheduler_conf: {total_steps: 800}\n")
    args = argparse.Namespace(output_dir=str(tmp_path), resume=True, **plan | settings)
    args.scheduler_conf = {"total_steps": args.max_epoch * (args.num_iters_per_epoch // args.accum_grad)}
    return args


@pytest.mark.parametrize("checkpoint", ["checkpoint.pth", "checkpoint_step.pth"])
@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"accum_grad": 2}, "800 .* now have 400 .accum_grad 1 -> 2."),
        ({"max_epoch": 9}, "now have 900 .max_epoch 8 -> 9."),
        ({"optim": "sgd"}, "another optim or optim_conf .optim adamw -> sgd., which its checkpoint brings back"),
        ({"optim_conf": {"lr": 5e-4, "betas": [0.9, 0.98]}}, r".lr 0.001 -> 0.0005.,.*--init"),
        ({"exclude_weight_decay": True}, "another exclude_weight_decay or .*exclude_weight_decay None -> True"),
        ({"scheduler": "noamlr"}, "another scheduler or scheduler_conf .scheduler onecyclelr -> noamlr."),
    ],
)
def test_a_training_that_goes_on_keeps_its_plan(tmp_path, settings, says, checkpoint):
    check_plan_goes_on(begun(tmp_path, **settings))  # nothing was trained yet
    (tmp_path / checkpoint).touch()
    check_plan_goes_on(begun(tmp_path, optim_conf={"betas": [0.9, 0.98], "lr": 1e-3, "fused": True}))  # on a GPU now
    with pytest.raises(UserError, match=says):
        check_plan_goes_on(begun(tmp_path, **settings))


def test_a_training_that_goes_on_keeps_its_model(tmp_path, capsys):
    def model(kind="ctc", **changes):
        return build_asr_model(
            {"encoder_conf": CONF | changes, "model_conf": {"kind": kind}}, ["<blank>", "<unk>", "a"]
        )

    args = argparse.Namespace(output_dir=str(tmp_path), resume=True, distributed=False, seed=3, cmvn="new.json")
    args.init_encoder = None
    check_model_goes_on(args, model("rnnt"))  # nothing was trained yet
    begun = {"encoder_conf": CONF, "seed": 3, "batch_bins": 800, "branch_conf": {"sparse": 1.0, "backward": "joint"}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(begun))
    torch.save({"model": model().state_dict()}, tmp_path / "checkpoint.pth")
    args.batch_bins, args.branch_conf, args.grad_clip = 800, begun["branch_conf"], 5.0
    check_model_goes_on(args, model())
    assert capsys.readouterr().out == ""
    args.batch_bins, args.branch_conf = 400, {"sparse": 0.5}
    check_model_goes_on(args, model(dropout_rate=0.5, chunk_ms=[320]))
    said = capsys.readouterr().out
    assert "goes on with other settings than before" in said and said.count("\n") == 1
    for change in (
        "batch_bins 800 -> 400",
        "sparse 1.0 -> 0.5",
        "backward joint -> its default",
        "dropout_rate 0.1 -> 0.5",
    ):
        assert change in said
    other_norm = model()
    other_norm.encoder.normalize.mean += 1
    for other, says in (
        (model("rnnt"), "was begun with another model_conf, by which joiner.encoder.bias is of another size, or not"),
        (model(linear_units=16), "has linear_units 32, but this configuration has 16"),
        (model(granularity="unstructured"), "granularity"),  # of the same sizes
        (other_norm, "another mean and variance than those of new.json, which its checkpoint brings back: .*--init"),
    ):
        with pytest.raises(UserError, match=says):
            check_model_goes_on(args, other)
    args.seed = 4
    with pytest.raises(UserError, match="was begun with the seed 3, which is now 4: go on with the same"):
        check_model_goes_on(args, model())
    (tmp_path / "config.yaml").write_text("")  # the first process is writing it
    check_model_goes_on(
        argparse.Namespace(**vars(args) | {"distributed": True, "dist_rank": 1, "dist_launcher": None}), model()
    )


def test_an_init_that_does_nothing_is_said_to_do_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for begun, given, says in (
        ("a", "a", None),
        ("a", str(tmp_path / "a"), None),
        (None, None, None),
        ("a", "b", "--init b does nothing: exp goes on from its own checkpoint, and began with a"),
        (None, "b", "--init b does nothing: exp goes on from its own checkpoint, and began with random weights"),
        ("a", None, "warning: exp goes on from its own checkpoint, and began with a"),
    ):
        args = argparse.Namespace(init_encoder=given)
        say_start_is_unused(args, begun, Path("exp"))
        said = capsys.readouterr().out
        assert (says in said) if says else not said
        assert args.init_encoder == begun  # what config.yaml names


def test_epochs_of_a_training_that_cannot_go_on_are_not_written_over(tmp_path):
    args = argparse.Namespace(output_dir=str(tmp_path), resume=True)
    check_nothing_is_lost(args)
    (tmp_path / "2epoch.pth").touch()
    with pytest.raises(UserError, match="has no checkpoint.pth to go on from, and .* write over its 2epoch.pth"):
        check_nothing_is_lost(args)
    (tmp_path / "checkpoint.pth").touch()
    check_nothing_is_lost(args)


def test_a_configuration_that_a_start_left_cut_off_is_said_with_the_way_out(tmp_path):
    args = begun(tmp_path)
    (tmp_path / "checkpoint.pth").touch()
    (tmp_path / "config.yaml").write_text("")
    with pytest.raises(UserError, match="config.yaml must hold keys and values, .*: remove it, and the training goes"):
        check_plan_goes_on(args)
