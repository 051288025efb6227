"""egs/fsdd's data preparation: on made-up recordings, and on the real ones where DUALMODE_FSDD_DIR names them."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dualmode.bin import validate_data
from dualmode.data.kaldi_dir import open_kaldi_dir, read_table
from dualmode.errors import UserError

PREPARE = Path(__file__).parents[2] / "egs" / "fsdd" / "local" / "prepare.py"
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{PREPARE.parents[3]}:{PREPARE.parents[3]}/runtime"}
SETS = ("train", "valid", "test", "test_unseen_speaker")


@pytest.fixture(scope="module")
def prepare():
    spec = importlib.util.spec_from_file_location("fsdd_prepare", PREPARE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fake(tmp_path_factory) -> Path:
    """Recordings of 2 speakers, 10 digits, 8 indices; digit d lasts 100 + 10 d ms."""
    folder = tmp_path_factory.mktemp("fake")
    (folder / "recordings").mkdir()
    rng = np.random.default_rng(0)
    for digit in range(10):
        for speaker in ("anna", "theo"):
            for index in range(8):
                samples = 0.1 * rng.standard_normal(800 + 80 * digit)
                soundfile.write(folder / "recordings" / f"{digit}_{speaker}_{index}.wav", samples, 8000)
    return folder


@pytest.fixture(scope="module")
def made(prepare, fake, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("fsdd")
    prepare.main(["--fsdd-dir", str(fake), "--out", str(out), "--small", "12", "--jobs", "1"])
    return out


@pytest.mark.parametrize("name", SETS)
def test_sets_pass_validation(made, name, capsys):
    validate_data.main([str(made / "data" / name), "--read-audio"])
    assert "12 utterances" in capsys.readouterr().out


def test_no_recording_is_in_two_sets_and_the_held_out_speaker_in_one(prepare, fake):
    sets = prepare.split(prepare.find_recordings(fake), "theo", seed=1)
    paths = {name: {recording.path for recording in members} for name, members in sets.items()}
    assert sum(map(len, paths.values())) == len(set().union(*paths.values())) == 160
    assert {recording.index for recording in sets["test"]} == set(range(5))
    assert {recording.index for recording in sets["train"] + sets["valid"]} == {5, 6, 7}
    assert {name for name, members in sets.items() if any(r.speaker == "theo" for r in members)} == {
        "test_unseen_speaker"
    }
    assert {recording.digit for recording in sets["train"]} == set(range(10))
    assert len(sets["test_unseen_speaker"]) == 80


def test_text_and_length_follow_from_the_recordings(prepare, made):
    utterances = list(open_kaldi_dir(made / "data" / "test").utterances())
    for utterance in utterances:
        digits = [prepare.WORDS.index(word) for word in utterance.text.split()]
        assert 3 <= len(digits) <= 7
        spoken = sum(0.1 + 0.01 * digit for digit in digits)
        gaps = utterance.seconds - spoken
        assert 0.05 * (len(digits) + 1) - 0.001 <= gaps <= 0.4 * (len(digits) + 1) + 0.001
    assert {utterance.speaker for utterance in utterances} == {"anna"}


def test_same_seed_same_bytes_for_any_number_of_jobs(fake, made, tmp_path):
    command = [sys.executable, PREPARE, "--fsdd-dir", fake, "--out", tmp_path, "--small", "12", "--jobs", "2"]
    subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT)
    assert read_table(tmp_path / "data" / "train" / "text") == read_table(made / "data" / "train" / "text")
    files = sorted(path.relative_to(made) for path in made.rglob("*.flac"))
    assert len(files) == 48
    assert [path for path in files if (made / path).read_bytes() != (tmp_path / path).read_bytes()] == []


def test_other_seed_other_strings(prepare, fake, tmp_path):
    recordings = prepare.split(prepare.find_recordings(fake), "theo", seed=1)["train"]
    first, again, other = (prepare.draw_strings(recordings, 12, (seed,), tmp_path) for seed in (1, 1, 2))
    assert first == again != other


def test_mistakes_are_one_sentence(prepare, fake, tmp_path):
    out = ["--out", str(tmp_path / "out")]
    with pytest.raises(UserError, match="--held-out-speaker nobody: the data has the speakers anna, theo"):
        prepare.main(["--fsdd-dir", str(fake), *out, "--held-out-speaker", "nobody"])
    with pytest.raises(UserError, match="there are no recordings"):
        prepare.main(["--fsdd-dir", str(tmp_path), *out])
    (tmp_path / "notes.wav").touch()
    with pytest.raises(UserError, match="notes.wav: expected a name such as 7_theo_12.wav"):
        prepare.main(["--fsdd-dir", str(tmp_path), *out])


def test_clone_that_fails_says_what_to_do(prepare, monkeypatch, tmp_path):
    monkeypatch.setattr(prepare, "HOME", str(tmp_path / "no-such-repository"))
    with pytest.raises(UserError, match="cannot clone .*--fsdd-dir"):
        prepare.clone(tmp_path / "downloads" / "fsdd")
    assert not (tmp_path / "downloads" / "fsdd").exists()


@pytest.mark.skipif(
    "DUALMODE_FSDD_DIR" not in os.environ, reason="DUALMODE_FSDD_DIR does not name the data set's folder"
)
def test_real_recordings(prepare, tmp_path):
    source = os.environ["DUALMODE_FSDD_DIR"]
    sets = prepare.split(prepare.find_recordings(Path(source)), "theo", seed=1)
    assert {name: len(members) for name, members in sets.items()} == {
        "train": 2050,
        "valid": 200,
        "test": 250,
        "test_unseen_speaker": 500,
    }
    prepare.main(["--fsdd-dir", source, "--out", str(tmp_path), "--small", "10", "--jobs", "1"])
    for name in SETS:
        validate_data.main([str(tmp_path / "data" / name), "--read-audio"])
