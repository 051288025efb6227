"""Our encoder and tasks inside ESPnet."""

import argparse
import multiprocessing

import espnet2.train.trainer as trainer
import pytest
import torch
import yaml
from espnet2.train.reporter import SubReporter

from dualmode.asr.build import build_asr_model
from dualmode.bin.asr_train import check_tokens
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.errors import UserError
from dualmode.supernet.subnet import DENSE, Context, Subnet
from dualmode.tasks.asr import AsrTask, TokenIds
from dualmode.tasks.base import check_model_goes_on, check_nothing_is_lost, check_plan_goes_on
from dualmode.tasks.encoder import NAME, EspnetEncoder, register
from dualmode.tasks.history import read_history
from dualmode.tasks.launch import data_arguments
from dualmode.tasks.patches.whole_checkpoints import whole_checkpoints
from dualmode.tasks.pretrain import PretrainTask, PretrainTrainer
from dualmode.tasks.settings import check_names
from dualmode.tasks.trainer import SupernetTrainer

CONF = {
    "output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4,
}  # fmt: skip


def test_espnet_s_own_task_takes_the_encoder():
    register()
    from espnet2.tasks.asr import ASRTask, encoder_choices

    assert encoder_choices.get_class(NAME) is EspnetEncoder
    args = ASRTask.get_parser().parse_args(
        ["--encoder", NAME, *(word for key, value in CONF.items() for word in ("--encoder_conf", f"{key}={value}"))]
    )
    encoder = encoder_choices.get_class(args.encoder)(input_size=80, **args.encoder_conf)
    assert encoder.output_size() == 16
    assert encoder.config.num_blocks == 1


@pytest.mark.parametrize(
    ("conf", "subnet"),
    [({}, DENSE), ({"sparsity": 0.7, "run_chunk_ms": 640, "run_left_ms": 1280}, Subnet(0.7, Context(16, 32)))],
)
def test_espnet_s_forward_pass_runs_the_chosen_sub_network(conf, subnet):
    torch.manual_seed(0)
    encoder = EspnetEncoder(80, **CONF, **conf).eval()
    features, lengths = torch.randn(2, 60, 80), torch.tensor([60, 40])
    encoded, frames, states = encoder(features, lengths)
    expected, _ = DualModeEncoder.forward(encoder, features, lengths, subnet)
    assert torch.equal(encoded, expected)
    assert frames.tolist() == [14, 9] and states is None


@pytest.mark.parametrize("task", [PretrainTask, AsrTask])
def test_an_unknown_yaml_key_is_named_with_the_nearest_one(task, tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("max_epohc: 3\n")
    with pytest.raises(UserError, match="'max_epohc'.*did you mean 'max_epoch'"):
        check_names(task, path, [])


def test_an_unknown_option_is_named_with_the_nearest_one(tmp_path):
    (tmp_path / "x.yaml").write_text("max_epoch: 3\n")
    check_names(PretrainTask, tmp_path / "x.yaml", ["--max_epoch", "2", "--model_conf", "entries=8"])
    with pytest.raises(UserError, match="no option --max_epohc; did you mean '--max_epoch'"):
        check_names(PretrainTask, tmp_path / "x.yaml", ["--max_epohc", "2"])


def test_inputs_that_nobody_measured_rank_no_weights():
    tiny = {"output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4}
    args = PretrainTask.get_parser().parse_args(["--output_dir", "x"])
    args.encoder_conf = {**tiny, "importance": "activations"}
    with pytest.raises(UserError, match="importance is activations, which dualmode prune --calibrate measures"):
        PretrainTask.build_encoder(args)


def test_missing_features_are_named(tmp_path):
    with pytest.raises(UserError, match="feats.scp: run stage 1"):
        data_arguments("train", tmp_path, ["speech"])


def collapsed(batches: int) -> SubReporter:
    reporter = SubReporter("train", 1, 0)
    for _ in range(batches):
        reporter.register({"perplexity0": 1.0, "accuracy_dense": 0.2, "chance": 0.02}, 100.0)
        reporter.next()
    return reporter


def alarm_options(tmp_path, **conf):
    args = PretrainTask.get_parser().parse_args(["--output_dir", str(tmp_path)])
    args.alarm_conf = conf
    return PretrainTrainer.build_options(args)


def test_the_alarm_stops_a_collapsed_training(tmp_path):
    watch = PretrainTrainer.watcher(alarm_options(tmp_path, after=4, window=2, stop=True))
    watch(collapsed(2))
    watch(collapsed(5))
    with pytest.raises(UserError, match="stopped after update 6: the perplexity of codebook 0 is 1.00.*collapse"):
        watch(collapsed(6))


def test_the_alarm_warns_once_for_each_value(tmp_path, capsys):
    watch = PretrainTrainer.watcher(alarm_options(tmp_path, after=4, window=2))
    for batches in range(1, 9):
        watch(collapsed(batches))
    assert capsys.readouterr().out.count("warning: update 4: the perplexity of codebook 0") == 1


def test_one_of_several_processes_says_a_mistake_in_one_sentence(capsys, monkeypatch):
    args = PretrainTask.get_parser().parse_args(["--output_dir", "x", "--checkpoint_every", "0"])
    with pytest.raises(UserError, match="checkpoint_every is 0"):
        PretrainTask.main_worker(args)
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: "the launcher")
    with pytest.raises(SystemExit) as ended:
        PretrainTask.main_worker(args)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: checkpoint_every is 0: it must be at least 1 batch\n"


def test_a_save_that_fails_leaves_the_old_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.pth"

    class Unpicklable:
        def __reduce__(self):
            raise RuntimeError("killed")

    with whole_checkpoints():
        trainer.torch.save({"step": 1}, path)
        with pytest.raises(RuntimeError, match="killed"):
            trainer.torch.save({"big": torch.zeros(1000), "bad": Unpicklable()}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint.pth"]


def test_history_keeps_the_last_run_of_an_epoch(tmp_path):
    (tmp_path / "history.jsonl").write_text(
        '{"epoch": 1, "phase": "train", "stats": {"loss": 3.0}}\n'
        '{"epoch": 2, "phase": "train", "stats": {"loss": 9.0}}\n'
        '{"epoch": 2, "phase": "train", "stats": {"loss": 2.0}}\n'
    )
    assert read_history(tmp_path) == {"train": {"loss": [(1, 3.0), (2, 2.0)]}, "valid": {}}


def test_a_transcript_outside_the_token_list_names_the_utterance(tmp_path):
    from dualmode.bin.make_tokens import main

    (tmp_path / "text").write_text("u1 a b\nu2 ab\n")
    main(["--text", str(tmp_path / "text"), "--type", "char", "--out", str(tmp_path / "tokens")])
    from dualmode.data.tokens import Tokenizer

    ids = TokenIds(Tokenizer.load(tmp_path / "tokens"))
    assert ids("u1", {"text": "a b"})["text"].tolist() == ids.tokenizer.encode("a b")
    with pytest.raises(UserError, match="utterance u9 has 'x'"):
        ids("u9", {"text": "ax"})


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
    check_model_goes_on(argparse.Namespace(**vars(args) | {"distributed": True, "dist_rank": 1}), model())


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


def test_one_process_for_several_gpus_is_refused(tmp_path):
    with pytest.raises(UserError, match="one process cannot train on 2 GPUs: .* --multiprocessing_distributed true"):
        SupernetTrainer.run(
            model=torch.nn.Linear(1, 1),
            trainer_options=alarm_options(tmp_path),
            distributed_option=argparse.Namespace(distributed=False, ngpu=2),
        )


def test_a_folder_of_another_vocabulary_is_left_alone(tmp_path):
    for folder, letters in (("new", "ab"), ("model/tokens", "cd")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "tokens.txt").write_text("<blank>\n<unk>\n" + "".join(f"{letter}\n" for letter in letters))
    check_tokens(tmp_path / "new", tmp_path / "model")  # nothing was trained in it
    (tmp_path / "model" / "checkpoint.pth").touch()
    with pytest.raises(UserError, match="model holds a training with other tokens than .*new"):
        check_tokens(tmp_path / "new", tmp_path / "model")
    check_tokens(tmp_path / "model" / "tokens", tmp_path / "model")


def test_gpus_that_are_not_there_are_said_in_one_sentence(tmp_path):
    args = PretrainTask.get_parser().parse_args(["--output_dir", str(tmp_path)])
    args.ngpu = torch.cuda.device_count() + 1
    with pytest.raises(UserError, match=f"--ngpu {args.ngpu}, but PyTorch sees {args.ngpu - 1} GPUs"):
        PretrainTask.main_worker(args)


def test_a_torn_line_of_the_history_is_cut_off_and_said(tmp_path, capsys):
    whole = '{"epoch": 1, "phase": "train", "stats": {"loss": 2.0}}\n'
    (tmp_path / "history.jsonl").write_text(whole + '{"epoch": 1, "phase": "va')
    assert read_history(tmp_path)["train"] == {"loss": [(1, 2.0)]}
    assert "the last line is cut off" in capsys.readouterr().out
    assert (tmp_path / "history.jsonl").read_text() == whole
    read_history(tmp_path)
    assert capsys.readouterr().out == ""


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_checkpoint_that_pickles_a_program_is_not_loaded(tmp_path):
    torch.save({"model": {}, "reporter": Bomb(str(tmp_path / "was-here"))}, tmp_path / "checkpoint.pth")
    with whole_checkpoints(), pytest.raises(UserError, match="checkpoint.pth holds more than tensors and numbers"):
        trainer.torch.load(tmp_path / "checkpoint.pth", map_location="cpu", weights_only=False)
    assert not (tmp_path / "was-here").exists()


@pytest.mark.parametrize("share", [0, 0.5])
def test_a_checkpoint_that_is_cut_off_is_named(tmp_path, share):
    """As a full disk or a power cut leaves one."""
    path = tmp_path / "checkpoint.pth"
    torch.save({"model": {"weight": torch.zeros(1000)}}, path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with (
        whole_checkpoints(),
        pytest.raises(UserError, match="checkpoint.pth .* damaged, .* remove it and .*epoch.pth"),
    ):
        trainer.torch.load(path, map_location="cpu", weights_only=False)


def test_weights_that_could_start_a_program_are_refused_by_name(tmp_path):
    args = PretrainTask.get_parser().parse_args(["--output_dir", str(tmp_path), "--init_param", "evil.pth"])
    with pytest.raises(UserError, match="init_param reads weights in a way that can start programs"):
        PretrainTask.main_worker(args)
