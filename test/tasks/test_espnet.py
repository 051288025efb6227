"""Our encoder and tasks inside ESPnet."""

import argparse
import multiprocessing

import espnet2.train.trainer as trainer
import pytest
import torch
from espnet2.train.reporter import SubReporter

from dualmode.bin.asr_train import check_tokens
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.errors import UserError
from dualmode.supernet.subnet import DENSE, Context, Subnet
from dualmode.tasks.asr import AsrTask, TokenIds
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
        pytest.raises(UserError, match="checkpoint.pth .* damaged, .* remove it, checkpoint_step.pth and .*epoch.pth"),
    ):
        trainer.torch.load(path, map_location="cpu", weights_only=False)


def test_weights_that_could_start_a_program_are_refused_by_name(tmp_path):
    args = PretrainTask.get_parser().parse_args(["--output_dir", str(tmp_path), "--init_param", "evil.pth"])
    with pytest.raises(UserError, match="init_param reads weights in a way that can start programs"):
        PretrainTask.main_worker(args)


def test_a_comma_in_a_path_is_refused_before_espnet_cuts_it(tmp_path):
    with pytest.raises(UserError, match="w,x has a comma in its path, at which ESPnet would cut it: rename"):
        data_arguments("train", tmp_path / "w,x", ["speech"])
