"""Mistakes in a training's YAML: one sentence with file and key, before anything is built."""

from types import SimpleNamespace

import pytest
import torch
import yaml

from dualmode.errors import UserError
from dualmode.tasks.asr import AsrTask
from dualmode.tasks.check import settings_of
from dualmode.tasks.pretrain import PretrainTask
from dualmode.tasks.settings import check_frozen

GOOD = {"optim": "adamw", "optim_conf": {"lr": 0.001}, "scheduler": "warmuplr", "scheduler_conf": {"warmup_steps": 10}}
GOOD |= {"batch_type": "length"}

CYCLE = {"scheduler": "onecyclelr", "scheduler_conf": {"max_lr": 0.01}, "num_iters_per_epoch": 10, "accum_grad": 2}
CYCLE |= {"max_epoch": 2}


def settings(tmp_path, task=AsrTask, options=(), **changes):
    path = tmp_path / "asr.yaml"
    path.write_text(yaml.safe_dump(GOOD | changes))
    return settings_of(task, path, options)


def test_good_settings_pass(tmp_path):
    args = settings(tmp_path, max_epoch=3, keep_nbest_models=2, best_model_criterion=[["valid", "ter", "min"]])
    assert args.optim_conf == {"lr": 0.001} and args.max_epoch == 3
    assert settings(tmp_path, optim_conf={"lr": "1e-3"}).optim_conf == {"lr": 0.001}
    assert settings(tmp_path, **CYCLE).scheduler == "onecyclelr"
    whole = {"scheduler_conf": {"max_lr": 0.01, "total_steps": 10}}  # as the config.yaml of a training has it
    assert settings(tmp_path, **(CYCLE | whole)).scheduler_conf["total_steps"] == 10
    assert settings(tmp_path, batch_type="folded", fold_length=[100]).fold_length == [100]
    assert settings(tmp_path, options=["--grad_clip_type", "inf"]).grad_clip_type == float("inf")
    assert settings(tmp_path, scheduler=None, scheduler_conf={}).scheduler is None


@pytest.mark.parametrize("task", [AsrTask, PretrainTask])
def test_a_block_with_nothing_below_it_is_one_that_is_left_out(tmp_path, task):
    names = [action.dest for action in task.get_parser()._actions if action.dest.endswith("_conf")]
    assert {"optim_conf", "scheduler_conf", "encoder_conf", "model_conf", "branch_conf"} < set(names)
    args = settings(tmp_path, task, **dict.fromkeys(names))
    assert all(getattr(args, name) == {} for name in names)


WRONG = [
    ({"optim": "adamww"}, r"optim is 'adamww'; did you mean 'adamw'\? It must be one of adam, adamw, "),
    ({"scheduler": "warmup"}, r"scheduler is 'warmup'; did you mean 'warmuplr'\?"),
    ({"optim": 3}, "optim is 3.*: it must be one of adam"),
    ({"optim_conf": {"lr": "1.5e-3x"}}, "optim_conf: lr is '1.5e-3x': it must be a number"),
    ({"optim_conf": {"lr": -1}}, "optim_conf: adamw cannot be made .*Invalid learning rate: -1"),
    ({"optim_conf": {"lr": float("nan")}}, "optim_conf: lr is nan: it must be a finite number"),
    ({"optim_conf": {"lrr": 1}}, "optim_conf has the key 'lrr', which adamw does not know; did you mean 'lr'"),
    ({"optim_conf": {"betas": "big"}}, "optim_conf: adamw cannot be made"),
    ({"optim_conf": 7}, "optim_conf is 7: it must hold keys and values"),
    ({"optim_conf": [1]}, r"optim_conf is \[1\]: it must hold keys and values"),
    ({"scheduler_conf": {"warmup_steps": "many"}}, "scheduler_conf: warmup_steps is 'many': it must be a number"),
    ({"scheduler_conf": {"warmup": 3}}, "scheduler_conf has the key 'warmup', .*did you mean 'warmup_steps'"),
    (CYCLE | {"num_iters_per_epoch": None}, "onecyclelr needs updates_per_epoch or num_iters_per_epoch"),
    (
        CYCLE | {"scheduler_conf": {"max_lr": 0.01, "total_steps": 4}},
        "scheduler_conf: total_steps is 4, and the training has 10 updates: leave it out",
    ),
    (
        CYCLE | {"scheduler_conf": {"max_lr": 0.01, "total_steps": 40}},
        "scheduler_conf: total_steps is 40, and the training has 10 updates: leave it out",
    ),
    (
        CYCLE | {"scheduler_conf": {"max_lr": 0.01, "epochs": 4}},
        "scheduler_conf has epochs, which does nothing: leave it out",
    ),
    (
        CYCLE | {"scheduler_conf": {"max_lr": 0.01, "steps_per_epoch": 4}},
        "scheduler_conf has steps_per_epoch, which does nothing: leave it out",
    ),
    ({"max_epoch": "ten"}, "max_epoch is 'ten': it must be a whole number"),
    ({"max_epoch": 0}, "max_epoch is 0: it must be at least 1"),
    ({"max_epoch": 1.5}, "max_epoch is 1.5: it must be a whole number"),
    ({"max_epoch": True}, "max_epoch is True: it must be a whole number"),
    ({"batch_bins": -5}, "batch_bins is -5: it must be at least 1"),
    ({"accum_grad": 0}, "accum_grad is 0: it must be at least 1"),
    ({"seed": -1}, "seed is -1: it must be from 0 to 4294967295"),
    ({"seed": 2**32}, "seed is 4294967296: it must be from 0 to 4294967295"),
    ({"num_workers": -1}, "num_workers is -1: it must be at least 0"),
    ({"grad_clip": "x"}, "grad_clip is 'x': it must be a number"),
    ({"grad_clip": float("inf")}, "grad_clip is inf: it must be above 0 and finite"),
    ({"grad_clip": 0}, "grad_clip is 0: it must be above 0 and finite; 1.0e.9 clips nothing"),
    ({"grad_clip_type": float("nan")}, "grad_clip_type is nan: it must be a finite number"),
    ({"checkpoint_minutes": float("inf")}, "checkpoint_minutes is inf: it must be a finite number"),
    ({"batch_type": "catbel"}, "batch_type is catbel, which needs categories of utterances, and there are none: say"),
    ({"valid_batch_type": "catpow"}, "valid_batch_type is catpow, which needs categories of utterances"),
    ({"batch_type": "folded"}, r"batch_type is folded, ESPnet's default, which needs one fold_length and has \[\]"),
    ({"batch_type": "folded", "fold_length": 100}, r"fold_length is 100: it must be a list, such as \[100\]"),
    ({"batch_type": "folded", "fold_length": [0]}, r"fold_length is \[0\]: it must be at least 1"),
    ({"freeze_param": "encoder"}, r"freeze_param is 'encoder': it must be a list, such as \[encoder\]"),
    ({"freeze_param": [1]}, r"freeze_param is \[1\]: it must be text"),
    ({"use_amp": "maybe"}, "use_amp is 'maybe': it must be true or false"),
    ({"batch_type": "lenght"}, r"batch_type is 'lenght'; did you mean 'length'\?"),
    ({"init_param": ["gone.pth"]}, "init_param reads weights in a way that can start programs"),
    ({"iterator_type": "chunk"}, "iterator_type: chunk reads batches in a way"),
    ({"multiple_iterator": True}, "multiple_iterator reads batches in a way"),
    ({"grad_noise": True}, "grad_noise is an option of ESPnet's own trainings"),
    ({"collect_stats": True}, "collect_stats is an option of ESPnet's own trainings"),
    ({"use_adapter": True}, "use_adapter is an option of ESPnet's own trainings"),
    ({"dry_run": True}, "dry_run is an option of ESPnet's own trainings"),
    ({"train_dtype": "float16"}, "train_dtype is float16, which features and weights do not share"),
    ({"use_wandb": True}, "the package wandb is not installed: pip install wandb"),
    ({"resume": False}, "resume: false would train anew over what is in the folder"),
    ({"val_scheduler_criterion": ["loss"]}, "val_scheduler_criterion has .'loss'.: it must be .train or valid, what"),
    ({"max_epochs": 3}, "has the key 'max_epochs', which no option goes by; did you mean 'max_epoch'"),
    ({"model_conf": {"distill_weight": "a lot"}}, "model_conf: distill_weight is 'a lot'"),
    ({"model_conf": {"distil_weight": 1}}, "model_conf has no key 'distil_weight'; did you mean 'distill_weight'"),
    ({"pruning_conf": {"end": "later"}}, "pruning_conf: end is 'later': it must be a whole number"),
    ({"branch_conf": {"schedule": ["both"]}}, "branch_conf: schedule is"),
]


@pytest.mark.parametrize(("changes", "sentence"), WRONG, ids=[str(change) for change, _ in WRONG])
def test_mistakes_are_one_sentence_with_file_and_key(tmp_path, changes, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        settings(tmp_path, **changes)
    assert str(tmp_path / "asr.yaml") in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("options", [["--max_epoch", "ten"], ["--optim", "adamww"], ["--resume"], ["--resume", "no"]])
def test_mistakes_on_the_command_line_are_a_sentence_too(tmp_path, options):
    with pytest.raises(UserError, match=options[0].strip("-")):
        settings(tmp_path, options=options)


def test_the_pre_training_is_checked_alike(tmp_path):
    with pytest.raises(UserError, match="entries is 'many'"):
        settings(tmp_path, task=PretrainTask, model_conf={"entries": "many"})
    with pytest.raises(UserError, match="entries is 1000000"):
        settings(tmp_path, task=PretrainTask, model_conf={"entries": 1000000})


def test_what_is_to_be_frozen_is_there():
    model = torch.nn.ModuleDict({"encoder": torch.nn.Linear(2, 2), "head": torch.nn.Linear(2, 2)})
    check_frozen(SimpleNamespace(freeze_param=["encoder", "head.bias"]), model)
    for name, meant in (("encodr", "; did you mean 'encoder'"), ("head.", ""), ("hea", ""), ("blocks", "")):
        with pytest.raises(UserError, match=f"freeze_param has '{name}', which is no parameter or part .*{meant}"):
            check_frozen(SimpleNamespace(freeze_param=[name]), model)
