"""egs/librispeech/run.sh: on a made-up corpus, and on real files where DUALMODE_LIBRISPEECH_DIR names them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dualmode.data.kaldi_dir import read_table

RUN = Path(__file__).parents[2] / "egs" / "librispeech" / "run.sh"
PARTS = ("--train-parts", "train-clean-100 train-other-500", "--valid-parts", "dev-clean", "--test-parts", "dev-clean")
TINY = ("--pretrain-config", "conf/tiny/pretrain.yaml", "--asr-config", "conf/tiny/asr.yaml", "--speeds", "1.0")


def run(*options: object, status: int = 0) -> str:
    environment = {**os.environ, "DUALMODE_VENV": sys.prefix, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(list(map(str, [RUN, *options])), capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_data_and_features_of_a_small_corpus(corpus, tmp_path):
    options = ("--work-dir", tmp_path / "work", "--librispeech-dir", corpus.parent, *PARTS, *TINY)
    options += ("--token-type", "char", "--vocab-size=", "--jobs", "1", "--stop-stage", "1")
    output = run(*options)
    assert "train_other_500: 2 utterances, 0.00 h, no transcripts: for pre-training only" in output
    dump = tmp_path / "work" / "dump"
    assert len(read_table(dump / "train" / "text")) == len(read_table(dump / "train" / "feats.scp")) == 6
    assert not (dump / "train_other_500" / "text").exists()
    assert read_table(dump / "train_other_500" / "utt2num_frames") == {"30-9-0000": "100", "30-9-0001": "110"}
    assert {path.name for path in dump.glob("[!.]*")} == {"train", "valid", "dev_clean", "train_other_500"}
    assert (
        run(*options).count("done already") == 11
    )  # the corpus, 4 validations, tokens, 4 sets of features, their mean


@pytest.mark.slow
def test_a_start_of_another_experiment_is_what_configurations_are_held_against(tmp_path):
    """LibriSpeech's contexts are no defaults: what stage 4 inherits is known from the folder that it starts from."""
    parts = tmp_path / "LibriSpeech"
    trained = ("train-clean-100", "train-clean-360", "train-other-500")
    for part in (*trained, "dev-clean", "dev-other", "test-clean", "test-other"):
        (parts / part).mkdir(parents=True)
    options = ("--librispeech-dir", parts, "--work-dir", tmp_path / "work", "--dry-run")
    for start in (("--tag", "b", "--pretrain-tag", "base"), ("--stop-stage", "7")):
        assert "steps would run; nothing was done" in run(*options, *start)
    for folder in ("prune_base", "asr_base"):
        (tmp_path / "work/exp" / folder).mkdir(parents=True)
        config = (RUN.parent / "conf/tuning/pretrain_base.yaml").read_text()
        (tmp_path / "work/exp" / folder / "config.yaml").write_text(config)
    assert "steps would run; nothing was done" in run(*options, "--prune-asr", "base", "--stage", "3")
    said = run(*options, "--stage", "4", "--sparsities", "0.5", status=2)
    assert "exp/prune_base/config.yaml has sparsities [0.7], but this configuration has [0.5]" in said


def test_mini_is_a_preset_of_parts_tokens_and_sizes(corpus, tmp_path):
    parts = tmp_path / "LibriSpeech"
    parts.mkdir()
    for part, like in (("train-clean-5", "train-clean-100"), ("dev-clean-2", "dev-clean")):
        (parts / part).symlink_to(corpus / like)
    options = (
        "--mini",
        "--librispeech-dir",
        parts,
        "--work-dir",
        tmp_path / "work",
        "--jobs",
        "1",
        "--stop-stage",
        "1",
    )
    run(*options, "--speeds", "1.0")
    assert sorted(path.name for path in (tmp_path / "work" / "dump").glob("[!.]*")) == ["dev_clean_2", "train", "valid"]
    assert '"char"' in (tmp_path / "work" / "data" / "token_list" / "tokens.json").read_text()
    assert "there is no folder" in run(*options, "--test-parts", "test-clean", status=2)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "/LibriSpeech holds none of test-clean test-other: name its parts with --test-parts"),
        (("--test-parts", "test-other"), "there is no folder CORPUS/test-other (--test-parts)"),
        (("--test-parts", "dev-clean", "--unlabelled-parts", "/x/small"), "there is no folder /x/small"),
        (("--librispeech-dir", "/nowhere"), "there is no folder /nowhere (--librispeech-dir)"),
    ],
)
def test_parts_that_are_not_there_stop_before_any_work(corpus, tmp_path, options, sentence):
    if "--librispeech-dir" not in options:
        options = ("--librispeech-dir", corpus, *options)
    output = run("--work-dir", tmp_path / "work", *options, status=2)
    assert output.startswith("error: ") and output.count("\n") == 1
    assert sentence.replace("CORPUS", str(corpus)) in output
    assert not (tmp_path / "work").exists()


@pytest.mark.skipif(
    "DUALMODE_LIBRISPEECH_DIR" not in os.environ,
    reason="DUALMODE_LIBRISPEECH_DIR does not name a folder with test-other and train-clean-100",
)
def test_all_stages_on_real_speech(tmp_path):
    """A plumbing check: trained and decoded on the same few utterances, for a few batches."""
    source = Path(os.environ["DUALMODE_LIBRISPEECH_DIR"])
    roles = ("--train-parts", "test-other", "--valid-parts", "test-other", "--test-parts", "test-other")
    output = run(
        *("--work-dir", tmp_path, "--librispeech-dir", source, *roles, "--unlabelled-parts", "train-clean-100", *TINY),
        *("--vocab-size", "100", "--pretrain-args", "--max_epoch 1", "--asr-args", "--max_epoch 1", "--jobs", "1"),
    )
    assert "test_other: 50 utterances, 0.12 h, 50 transcripts" in output
    assert "train_clean_100: 251 utterances, 0.87 h, no transcripts: for pre-training only" in output
    rows = json.loads((tmp_path / "exp/asr_base/results.json").read_text())
    assert [(row["set"], row["sparsity"], row["words"]) for row in rows] == [
        ("test_other", 0.0, 1045), ("test_other", 0.7, 1045)
    ]  # fmt: skip
    assert "PLUMBING CHECK: test-other was trained on" in (tmp_path / "exp/asr_base/RESULTS.md").read_text()
