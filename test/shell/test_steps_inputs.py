"""When a step of the recipe is done again: what it reads has changed, or what it left is not there any more."""

import os
import re
import time

import pytest


@pytest.fixture
def finished(corpus):
    """A corpus whose recipe has run."""
    corpus.run("--stop-stage", "5")
    corpus.new_calls()
    return corpus


def rewrite(path, text: str) -> None:
    path.write_text(text)
    later = time.time() + 5
    os.utime(path, (later, later))


@pytest.mark.parametrize("name", ["text", "wav.scp", "utt2spk"])
@pytest.mark.parametrize("earlier_version", [False, True])
def test_a_corrected_list_reaches_the_features(finished, name, earlier_version):
    if earlier_version:  # whose markers say nothing of these files
        for path in (finished.folder / "exp/.done").glob("*.watched"):
            path.unlink()
        finished.run("--stop-stage", "1")
        assert finished.new_calls() == []
        for path in (finished.folder / "exp/.done").glob("*.watched"):
            path.unlink()
    rewrite(finished.folder / "data/test" / name, "utt corrected\n")
    output = finished.run("--stop-stage", "5")
    assert re.search(rf"features of test: again, since this changed: file data/test/{name}\n", output)
    assert finished.new_calls() == ["validate_data", "make_fbank", "asr_inference", "asr_inference"]
    finished.run("--stop-stage", "5")
    assert finished.new_calls() == []


def test_recordings_that_were_written_after_their_features_are_told(finished):
    recording = finished.folder / "a long name.wav"
    (finished.folder / "data/test/wav.scp").write_text(f"utt  {recording}\nutt2 gone.wav\n")
    recording.write_bytes(b"one")
    assert "warning" not in finished.run("--stop-stage", "1")
    later = time.time() + 5
    os.utime(recording, (later, later))
    finished.new_calls()
    output = finished.run("--stop-stage", "1")
    assert f"recordings of test were written after its features were begun (1, such as {recording})" in output
    assert "recordings of train" not in output and finished.new_calls() == []


def test_so_are_those_that_an_import_converted(finished):
    recording = finished.folder / "a long name.m4a"
    recording.write_bytes(b"one")
    os.utime(recording, (0, 0))
    (finished.folder / "data/test/recordings").write_text(f"gone.m4a\n{recording}\n")
    assert "warning" not in finished.run("--stop-stage", "1")
    rewrite(recording, "two")
    output = finished.run("--stop-stage", "1")
    assert f"recordings of test were written after its features were begun (1, such as {recording})" in output
    assert "recordings of train" not in output


def test_a_configuration_under_another_name_is_the_same_work(finished):
    conf = finished.folder / "conf"
    for old, new in (("tuning/pretrain.yaml", "mine.yaml"), ("tuning/asr.yaml", "my asr.yaml")):
        (conf / new).write_text("# renamed\n" + (conf / old).read_text())
    output = finished.run(
        "--stop-stage", "5", "--pretrain-config", "conf/mine.yaml", "--asr-config", "conf/my asr.yaml"
    )
    assert finished.new_calls() == [], output
    (conf / "mine.yaml").write_text("name: another\n")
    finished.run("--stop-stage", "2", "--pretrain-config", "conf/mine.yaml")
    assert finished.new_calls() == ["pretrain"]


def test_another_language_model_is_another_decoding(finished):
    (finished.folder / "lm.arpa").write_text("first\n")
    (finished.folder / "conf/decode_dense.yaml").write_text("lm: 'lm.arpa'  # of words\n")
    finished.run("--stop-stage", "5")
    assert finished.new_calls() == ["asr_inference"]
    (finished.folder / "lm.arpa").write_text("second\n")
    assert "file lm.arpa" in finished.run("--stop-stage", "5")
    assert finished.new_calls() == ["asr_inference"]


@pytest.mark.parametrize(
    ("file", "again"),
    [
        ("data/cmvn.json", "compute_cmvn"),
        ("data/token_list/tokens.txt", "make_tokens"),
        ("exp/pretrain_base/config.yaml", "pretrain"),
        ("exp/prune_base/model.pth", "prune"),
        ("exp/asr_base/config.yaml", "asr_train"),
        ("exp/asr_base/decode_dense_test/text", "asr_inference"),
    ],
)
def test_a_file_of_a_step_that_was_cut_off_is_made_anew(finished, file, again):
    (finished.folder / file).write_text("torn")
    assert "not as it was left" in finished.run("--stop-stage", "5")
    assert again in finished.new_calls()


def test_files_that_others_add_are_no_reason(finished):
    (finished.folder / "exp/asr_base/notes.txt").write_text("mine")
    (finished.folder / "data/token_list/notes.txt").write_text("mine")
    finished.run("--stop-stage", "5")
    assert finished.new_calls() == []


def test_a_training_without_its_weights_is_not_done(finished):
    weights = finished.folder / "exp/asr_base/valid.ter.ave.pth"
    marker = finished.folder / "exp/.done/asr_base.sizes"
    weights.write_text("weights")
    marker.write_text(marker.read_text() + "7 exp/asr_base/valid.ter.ave.pth\n")
    finished.run("--stop-stage", "5")
    assert finished.new_calls() == []
    weights.unlink()
    assert "since exp/asr_base/valid.ter.ave.pth is not as it was left" in finished.run("--stop-stage", "5")
    assert "asr_train" in finished.new_calls()
