"""A training that is killed goes on to the same weights, bit by bit, as one that is not."""

import json
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import torch
import yaml

from dualmode.cluster.task import REQUEUE

EPOCHS, BATCHES = 2, 6
PATIENCE_S = 240
ENCODER = {
    "output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4,
    "kernel_size": 3, "dropout_rate": 0.1, "chunk_ms": [160, 320], "left_ms": [320],
}  # fmt: skip
COMMON = {
    "encoder_conf": ENCODER,
    "pruning_conf": {"begin": 2, "end": 10, "interval": 1},  # masks are found anew after the kill too
    "batch_type": "length", "batch_bins": 200, "num_workers": 0, "accum_grad": 2,
    "updates_per_epoch": BATCHES // 2, "max_epoch": EPOCHS, "checkpoint_every": 3,
    "optim": "adamw", "optim_conf": {"lr": "1e-3"},  # as YAML reads 1e-3
    "scheduler": "onecyclelr", "scheduler_conf": {"max_lr": 1e-2},
    "best_model_criterion": [["valid", "loss", "min"]], "keep_nbest_models": 1, "num_att_plot": 0,
    "use_tensorboard": False, "use_matplotlib": False,
}  # fmt: skip
CONTRASTIVE = {"entries": 8, "target_size": 8, "distractors": 5, "temperature": [2.0, 0.5, 0.9]}
PRETRAIN = {**COMMON, "model_conf": CONTRASTIVE}
ASR = {
    **COMMON,
    "branch_conf": {"schedule": "alternate"},  # an odd number of updates an epoch: whose turn it is differs
    "specaug_conf": {"apply_time_warp": False, "apply_freq_mask": True, "apply_time_mask": False},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    from dualmode.bin.make_tokens import main

    root = tmp_path_factory.mktemp("resume")
    (root / "data").mkdir()
    random = np.random.default_rng(0)
    lengths = {f"u{number:02d}": 60 + 3 * number for number in range(16)}
    matrices = {utt: random.normal(size=(frames, 80)).astype(np.float32) for utt, frames in lengths.items()}
    kaldiio.save_ark(str(root / "data/feats.ark"), matrices, scp=str(root / "data/feats.scp"))
    (root / "data/speech_shape").write_text("".join(f"{utt} {frames},80\n" for utt, frames in lengths.items()))
    (root / "data/text").write_text(
        "".join(f"{utt} {'ab' if frames % 2 else 'ba'}\n" for utt, frames in lengths.items())
    )
    (root / "cmvn.json").write_text(json.dumps({"frames": 1, "mean": [0.0] * 80, "std": [1.0] * 80}))
    main(["--text", str(root / "data/text"), "--type", "char", "--out", str(root / "tokens")])
    for kind, conf in (("pretrain", PRETRAIN), ("asr", ASR)):
        (root / f"{kind}.yaml").write_text(yaml.safe_dump(conf))
    return root


TRY = ["--dry_step", "true"]  # the largest batches are tried first, in runs that must end as those that do not


def run(server, *args) -> int:
    from killed_training import train

    process = server.Process(target=train, args=args)
    process.start()
    process.join()
    return process.exitcode


def outcome(out: Path) -> tuple[dict, list]:
    """Return the last weights, and the means of each epoch without times; what a kill in validation repeats, once."""
    history: list[dict] = []
    for line in (out / "history.jsonl").read_text().splitlines():
        entry = json.loads(line)
        waited = entry.pop("waiting_for_data_percent", None)
        assert (waited is None) == (entry["phase"] == "valid") and not (waited or 0) > 100
        if entry not in history[-1:]:
            history.append(entry)
    return torch.load(out / f"{EPOCHS}epoch.pth", weights_only=True), history


def test_what_a_kill_cut_off_after_the_checkpoint_is_written_on_resuming(server, root):
    out = root / "cut_off"
    assert run(server, "asr", root, out, 8) == -signal.SIGKILL  # in the second epoch
    weights = torch.load(out / "1epoch.pth", weights_only=True)
    for name in ("1epoch.pth", "latest.pth", "valid.loss.best.pth"):  # ESPnet's order after checkpoint.pth
        (out / name).unlink()
    assert run(server, "asr", root, out, 9) == -signal.SIGKILL
    for name in ("1epoch.pth", "latest.pth", "valid.loss.best.pth"):
        found = torch.load(out / name, weights_only=True)
        assert all(
            torch.equal(tensor, found[key]) for key, tensor in weights.items() if isinstance(tensor, torch.Tensor)
        )
        assert found.keys() == weights.keys() and (out / name).resolve() == (out / "1epoch.pth").resolve()


@pytest.mark.parametrize("kind", ["pretrain", "asr"])
def test_a_killed_training_ends_with_the_same_weights(server, root, kind):
    whole, killed = root / f"{kind}_whole", root / f"{kind}_killed"
    assert run(server, kind, root, whole, None) == 0
    for kill_at, checkpoint in (
        (6, (1, 4)),  # in the first epoch: goes on from its batch 4
        (-1, (1, 6)),  # in its validation: goes on from there
        (8, None),  # in the second epoch, before a checkpoint inside it: goes on from the end of the first
        (12, (2, 4)),  # in the second epoch: goes on from its batch 4
    ):
        assert run(server, kind, root, killed, kill_at, TRY) == -signal.SIGKILL
        path = killed / "checkpoint_step.pth"
        state = torch.load(path, weights_only=True) if path.exists() else None
        assert (state and (state["epoch"], state["batches"])) == checkpoint
    assert run(server, kind, root, killed, None) == 0
    assert (killed / "train.log").read_text().count(", commit: ") == 5, "every start says which code it runs"
    assert not (killed / "checkpoint_step.pth").exists()

    weights, history = outcome(whole)
    resumed, resumed_history = outcome(killed)
    assert weights.keys() == resumed.keys()
    for name, tensor in weights.items():
        assert torch.equal(tensor, resumed[name]), name
    assert any("masks" in name and not tensor.all() for name, tensor in weights.items())
    # The means of each epoch are those of all its batches, not of those after the kill.
    assert resumed_history == history


def test_a_training_that_is_told_to_stop_goes_on_from_that_batch(server, root):
    whole, stopped = root / "asr_whole", root / "told"  # the first is that of the test before
    if not whole.exists():
        assert run(server, "asr", root, whole, None) == 0
    assert run(server, "asr", root, stopped, 9, [], signal.SIGUSR1) == REQUEUE
    state = torch.load(stopped / "checkpoint_step.pth", weights_only=True)
    assert (state["epoch"], state["batches"]) == (2, 4)  # of 6; told in the third, which is half an update
    assert run(server, "asr", root, stopped, -1, [], signal.SIGTERM) == REQUEUE  # in the validation behind it
    state = torch.load(stopped / "checkpoint_step.pth", weights_only=True)
    assert (state["epoch"], state["batches"]) == (2, 6)
    assert run(server, "asr", root, stopped, None) == 0
    (weights, history), (resumed, resumed_history) = outcome(whole), outcome(stopped)
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in weights.items()) and resumed_history == history


def test_a_training_over_an_index_goes_on_at_any_batch(server, root):
    """Windows of 360 frames: some batches each, and several passes over the 16 utterances."""
    options, (whole, killed) = (
        ["--window_h", "0.001", "--dry_step", "true"],
        (root / "index_whole", root / "index_killed"),
    )
    assert run(server, "asr", root, whole, None, options) == 0
    for kill_at in (6, 12):
        assert run(server, "asr", root, killed, kill_at, options) == -signal.SIGKILL
    assert run(server, "asr", root, killed, None, options) == 0
    (weights, history), (resumed, resumed_history) = outcome(whole), outcome(killed)
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in weights.items()) and resumed_history == history


def run_two(
    server,
    root: Path,
    out: Path,
    kill_at: int | None,
    number: int = signal.SIGKILL,
    told: int = 2,
    more: Sequence[str] = (),
) -> list[int]:
    """Train in two processes that share each batch; return how they ended.  The first ``told`` get the signal."""
    from killed_training import train

    with socket.socket() as free:
        free.bind(("localhost", 0))
        where = f"tcp://localhost:{free.getsockname()[1]}"
    shared = ["--dist_world_size", "2", "--dist_backend", "gloo", "--dist_init_method", where, *more]
    processes = [
        server.Process(target=train, args=("pretrain", root, out, at, [*shared, "--dist_rank", str(rank)], number))
        for rank, at in enumerate([kill_at] * told + [None] * (2 - told))
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE_S)
        process.kill()  # one that waits for a dead partner
        process.join()
    return [process.exitcode for process in processes]


def test_two_processes_that_are_killed_end_with_the_same_weights(server, root):
    whole, killed = root / "two_whole", root / "two_killed"
    assert run_two(server, root, whole, None) == [0, 0]
    first, second = ([line.split() for line in file.read_text().splitlines()] for file in whole.glob("masks_*[0-9]"))
    assert [masks for _, masks, _ in first] == [masks for _, masks, _ in second] and len({one[1] for one in first}) > 2
    seeds = [{seed for _, _, seed in lines} for lines in (first, second)]  # of dropout and spans: two epochs each
    assert len(seeds[0]) == len(seeds[1]) == EPOCHS and not seeds[0] & seeds[1]
    assert run_two(server, root, killed, -1, signal.SIGTERM, told=1) == [REQUEUE, REQUEUE]  # in the first validation
    assert 0 not in run_two(server, root, killed, 8, more=TRY)  # goes on from the end of the first epoch
    # One that is told to stop tells the other one, and both save the same batch.
    assert run_two(server, root, killed, 9, signal.SIGTERM, told=1) == [REQUEUE, REQUEUE]
    state = torch.load(killed / "checkpoint_step.pth", weights_only=True)
    assert (state["epoch"], state["batches"], len(state["random"])) == (2, 4, 2)
    assert run_two(server, root, killed, None) == [0, 0]
    weights, history = outcome(whole)
    resumed, resumed_history = outcome(killed)
    for name, tensor in weights.items():
        assert torch.equal(tensor, resumed[name]), name
    assert resumed_history == history


@pytest.mark.slow
def test_two_processes_over_an_index_go_on_at_any_batch(server, root):
    options = ["--window_h", "0.0005", "--batch_bins", "600"]
    whole, killed = (root / "two_index_whole", root / "two_index_killed")
    assert run_two(server, root, whole, None, more=options) == [0, 0]
    assert 0 not in run_two(server, root, killed, 12, more=options)
    assert run_two(server, root, killed, None, more=options) == [0, 0]
    (weights, history), (resumed, resumed_history) = outcome(whole), outcome(killed)
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in weights.items()) and resumed_history == history


def test_other_data_is_refused_in_the_middle_of_an_epoch(tmp_path):
    from dualmode.errors import UserError
    from dualmode.tasks import step_checkpoint

    state = {"epoch": 2, "batches": 4, "total": 6, "random": [step_checkpoint.random_states()]}
    torch.save(state, tmp_path / "checkpoint_step.pth")
    assert step_checkpoint.load(tmp_path, epoch=2, total=6, ranks=1, accum_grad=2)["batches"] == 4
    with pytest.raises(UserError, match="6 batches an epoch, but there are 7"):
        step_checkpoint.load(tmp_path, epoch=2, total=7, ranks=1, accum_grad=2)
    with pytest.raises(UserError, match="1 processes, but there are 2"):
        step_checkpoint.load(tmp_path, epoch=2, total=6, ranks=2, accum_grad=2)
    with pytest.raises(
        UserError, match="after 4 batches of an epoch, which are no whole updates of 3 .accum_grad. now"
    ):
        step_checkpoint.load(tmp_path, epoch=2, total=6, ranks=1, accum_grad=3)
    assert step_checkpoint.load(tmp_path, epoch=3, total=6, ranks=1, accum_grad=2) is None
    assert (tmp_path / "checkpoint_step.pth").exists(), "other processes may be reading it"


def test_random_states_come_back_from_a_file(tmp_path):
    import random

    from dualmode.tasks.step_checkpoint import random_states, set_random_states

    def draws():
        return random.random(), np.random.rand(), torch.rand(()).item()

    torch.save(random_states(), tmp_path / "states.pth")
    first = draws()
    assert draws() != first
    set_random_states(torch.load(tmp_path / "states.pth", weights_only=True))
    assert draws() == first
