"""All stages on a corpus of a few utterances, killed once on the way: what a user sees, end to end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DEADLINE_S = 400


def command(work: Path, *options: str) -> list[str]:
    tiny = "conf/tiny"
    return [
        *(
            "bash",
            str(ROOT / "egs/mini/run.sh"),
            "--work-dir",
            str(work),
            "--small",
            "12",
            "--speeds",
            "1.0",
            "--max-rejected",
            "20",
        ),
        *("--pretrain-config", f"{tiny}/pretrain.yaml", "--asr-config", f"{tiny}/asr.yaml"),
        *options,
    ]


@pytest.fixture(scope="module")
def environment():
    return {**os.environ, "DUALMODE_VENV": sys.prefix, "OMP_NUM_THREADS": "1"}


def epochs(folder: Path) -> list[tuple[int, str]]:
    path = folder / "history.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(record["epoch"], record["phase"]) for record in map(json.loads, lines)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, environment):
    """A work folder whose run was killed with SIGKILL after the first epoch of stage 4, and run again to its end."""
    work = tmp_path_factory.mktemp("mini")
    model = work / "exp" / "asr_base"
    # More epochs than the test waits for, so that the kill comes in the middle of the training.
    first = subprocess.Popen(command(work), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    end = time.monotonic() + DEADLINE_S
    while (1, "valid") not in epochs(model) or not (model / "checkpoint.pth").exists():
        assert first.poll() is None, first.stdout.read().decode()
        assert time.monotonic() < end, "stage 4 was not reached in time"
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = epochs(model)
    again = subprocess.run(
        command(work), env=environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert again.returncode == 0, again.stdout + again.stderr
    return work, before, again.stdout


def test_a_killed_training_goes_on_from_its_last_epoch(finished):
    work, before, output = finished
    assert "going on from the last finished epoch" in output
    after = epochs(work / "exp" / "asr_base")
    assert after[: len(before)] == before
    # Epoch 1 is not trained again; later ones may be, if the kill came inside them.
    assert after.count((1, "train")) == 1
    assert {epoch for epoch, _ in after} == {1, 2, 3}


def test_the_table_has_a_row_for_each_sub_network_and_set(finished):
    work, _, output = finished
    rows = json.loads((work / "exp/asr_base/results.json").read_text())
    assert {(row["set"], row["sparsity"], row["chunk_ms"]) for row in rows} == {
        (name, sparsity, chunk)
        for name in ("test", "test_unseen_voices")
        for sparsity, chunk in ((0.0, None), (0.7, 640))
    }
    for row in rows:
        assert row["words"] > 0 and row["sub"] + row["del"] + row["ins"] >= 0 and row["rtf"] > 0
    dense, sparse = (next(row for row in rows if row["sparsity"] == s) for s in (0.0, 0.7))
    assert sparse["params_kept"] < dense["params_kept"] == dense["params_total"] == sparse["params_total"]
    assert sparse["bytes"] < dense["bytes"]
    assert "test_unseen_voices" in output.splitlines()[-1] + output.splitlines()[-2] + output
    assert "synthetic" in (work / "exp/asr_base/RESULTS.md").read_text()


def test_the_masks_of_stage_3_are_those_of_stage_4(finished):
    import torch

    work, _, _ = finished
    pruned = torch.load(work / "exp/prune_base/model.pth", weights_only=True)
    tuned = torch.load(work / "exp/asr_base/latest.pth", weights_only=True)
    masks = [name for name in pruned if name.endswith(".masks")]
    assert len(masks) == 2 * 8  # two blocks of eight prunable layers
    for name in masks:
        assert torch.equal(pruned[name], tuned[name])
        assert not torch.equal(pruned[name.replace("masks", "weight")], tuned[name.replace("masks", "weight")])


def test_nothing_is_done_twice(finished, environment):
    work, _, _ = finished
    stamps = {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file() and "log" not in path.parts}
    again = subprocess.run(command(work), env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert again.stdout.count("done already") >= 10
    changed = [str(path) for path, stamp in stamps.items() if path.stat().st_mtime_ns != stamp]
    assert all(Path(path).name in (".run.lock", ".lock_base") for path in changed)


def test_a_trained_recogniser_is_pruned_again_and_gets_an_rnnt(finished, environment):
    work, _, _ = finished
    rnnt = (ROOT / "conf/tiny/asr.yaml").read_text().replace("max_epoch: 3", "max_epoch: 1")
    rnnt = rnnt.replace("model_conf:", "model_conf:\n  kind: rnnt\n  transducer: {predictor_size: 8, joiner_size: 8}")
    (work / "rnnt.yaml").write_text(rnnt)
    options = ["--tag", "rnnt", "--stage", "3", "--stop-stage", "4", "--prune-asr", "base"]
    options += ["--asr-config", str(work / "rnnt.yaml"), "--prune-args", f"--calibrate {work / 'dump/valid'}"]
    subprocess.run(command(work, *options), env=environment, capture_output=True, timeout=DEADLINE_S, check=True)
    assert json.loads((work / "exp/prune_rnnt/report.json").read_text())["importance"].endswith("activations")
    log = (work / "exp/asr_rnnt/train.log").read_text()
    assert "as well: head.bias, head.weight" in log and "new weights: joiner.encoder.bias, " in log
    assert epochs(work / "exp/asr_rnnt") == [(1, "train"), (1, "valid")]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (("sparsity: 0.7", "sparsity: 0.5"), "no sub-network of sparsity 0.5"),
        (("chunk_ms: 640", "chunk_ms: 320"), "was not trained to run as"),
        (("chunk_ms: 640", "chunk_ms: 0"), "at least 1"),
        (("chunk_ms: 640", "chunk: 640"), "has the key 'chunk'"),
        (("batch_size: 1", "batch_size: 0"), "at least 1"),
    ],
)
def test_a_wrong_decoding_configuration_is_one_sentence(finished, tmp_path, edit, words):
    work, _, _ = finished
    config = tmp_path / "decode_x.yaml"
    config.write_text((ROOT / "conf/decode_sparse.yaml").read_text().replace(*edit))
    result = run_module(
        *("asr_inference", "--config", config, "--model", work / "exp/asr_base"),
        *("--data", work / "dump/test", "--out", tmp_path / "out"),
    )
    assert result.returncode == 2
    assert words in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (("num_blocks: 2", "num_blocks: 3"), "has num_blocks 2, but this configuration has 3"),
        (("sparsities: [0.7]", "sparsities: [1.2]"), "from 0 to below 1"),
        (("max_epoch: 3", "max_epohc: 3"), "did you mean 'max_epoch'"),
        (("distill_weight: 0.5", "distil_weight: 0.5"), "has no key 'distil_weight'"),
    ],
)
def test_a_wrong_training_configuration_is_one_sentence(finished, tmp_path, edit, words):
    work, _, _ = finished
    config = tmp_path / "asr.yaml"
    config.write_text((ROOT / "conf/tiny/asr.yaml").read_text().replace(*edit))
    result = run_module(
        *("asr_train", "--config", config, "--train", work / "dump/train", "--valid", work / "dump/valid"),
        *("--tokens", work / "data/token_list", "--cmvn", work / "data/cmvn.json"),
        *("--init", work / "exp/prune_base", "--out", tmp_path / "out"),
    )
    assert result.returncode == 2
    assert words in result.stderr and "Traceback" not in result.stderr


def run_module(name: str, *options) -> subprocess.CompletedProcess:
    words = [sys.executable, "-m", f"dualmode.bin.{name}", *map(str, options)]
    return subprocess.run(words, capture_output=True, text=True, timeout=DEADLINE_S, check=False, cwd=ROOT)
