"""The data preparation of egs/speechocean762: on a made-up corpus, and on the real one of DUALMODE_SPEECHOCEAN_DIR."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dualmode.data.kaldi_dir import read_table
from dualmode.errors import UserError

PREPARE = Path(__file__).parents[2] / "egs" / "speechocean762" / "local" / "prepare.py"
AGES = {"train": [6, 8, 9, 11, 20, 25, 30, 43], "test": [7, 22]}


@pytest.fixture(scope="module")
def prepare():
    spec = importlib.util.spec_from_file_location("speechocean_prepare", PREPARE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_wav(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(8000), 16000, subtype="PCM_16")


@pytest.fixture
def corpus(tmp_path):
    """Two utterances of each speaker; the test split's first ones say what speaker 0 of train says."""
    root, number = tmp_path / "speechocean762", 0
    for split, ages in AGES.items():
        tables = {name: [] for name in ("wav.scp", "utt2spk", "text", "spk2age")}
        for index, age in enumerate(ages):
            speaker = f"{number:04d}"
            number += 1
            tables["spk2age"].insert(0, f"{speaker}\t{age}")  # the corpus does not sort them
            for take in range(2):
                utt = f"{speaker}{take}"
                path = f"WAVE/SPEAKER{speaker}/{utt}.WAV"
                write_wav(root / path)
                tables["wav.scp"].append(f"{utt}\t{path}")
                tables["utt2spk"].append(f"{utt} {speaker}")
                said = "WE CALL IT BEAR" if (index, take) == (0, 0) else f"SENTENCE {'A' * number} {'B' * take}"
                tables["text"].append(f"{utt}\t{said.strip()}")
        (root / split).mkdir()
        for name, lines in tables.items():
            (root / split / name).write_text("".join(f"{line}\n" for line in lines))
    return root


def test_the_split_is_by_speaker(prepare, corpus, tmp_path, capsys):
    out = tmp_path / "work"
    prepare.main(["--speechocean-dir", str(corpus), "--out", str(out)])
    speakers = {name: set(read_table(out / "data" / name / "utt2spk").values()) for name in ("train", "valid", "test")}
    assert speakers["test"] == {"0008", "0009"}
    assert len(speakers["valid"]) == 4 and not speakers["valid"] & speakers["train"]
    assert {name for name in speakers["valid"] if name < "0004"} and {
        name for name in speakers["valid"] if name > "0003"
    }
    assert speakers["train"] | speakers["valid"] == {f"{i:04d}" for i in range(8)}
    assert len(read_table(out / "data" / "test" / "wav.scp")) == 4
    assert Path(read_table(out / "data" / "test" / "wav.scp")["00080"]).is_file()
    assert read_table(out / "data" / "test" / "utt2dur")["00080"] == "0.500000"
    assert "valid: 8 utterances, 0.00 h, 4 speakers" in capsys.readouterr().out


def test_parts_are_ages_and_sentences_that_nobody_reads_in_training(prepare, corpus, tmp_path):
    prepare.main(["--speechocean-dir", str(corpus), "--out", str(tmp_path)])
    assert read_table(tmp_path / "data" / "test" / "utt2subsets") == {
        "00080": "child",
        "00081": "child new_prompt",
        "00090": "adult new_prompt",
        "00091": "adult new_prompt",
    }


def test_the_seed_draws_who_is_held(prepare):
    ages = {f"{i:04d}": (8 if i % 2 else 30) for i in range(40)}
    draws = [prepare.draw_valid(ages, seed) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    assert all(len(draw) == 10 and sum(ages[name] < 18 for name in draw) == 5 for draw in draws)


def test_more_speech_joins_by_whether_it_has_transcripts(prepare, corpus, tmp_path):
    part, kaldi = tmp_path / "dev-clean", tmp_path / "kaldi"
    for name in ("84-121123-0000", "84-121123-0001"):
        write_wav(part / "84" / "121123" / f"{name}.flac")
    (part / "84" / "121123" / "84-121123.trans.txt").write_text("84-121123-0000 GO\n")
    write_wav(kaldi / "a.wav")
    kaldi.joinpath("wav.scp").write_text(f"a {kaldi}/a.wav\n")
    kaldi.joinpath("utt2spk").write_text("a x\n")
    options = [
        "--speechocean-dir",
        str(corpus),
        "--out",
        str(tmp_path / "work"),
        "--more-speech",
        str(part),
        str(kaldi),
    ]
    prepare.main(options)
    data = tmp_path / "work" / "data"
    assert read_table(data / "train" / "text")["84-121123-0000"] == "GO"
    assert read_table(data / "train" / "utt2spk")["84-121123-0000"] == "84-121123"
    assert list(read_table(data / "more_dev_clean" / "wav.scp")) == ["84-121123-0001"]
    assert list(read_table(data / "more_kaldi" / "wav.scp")) == ["a"] and not (data / "more_kaldi" / "text").exists()
    prepare.main(options[:-1])  # what is not asked for any more would be pre-trained on
    assert (data / "more_dev_clean").is_dir() and not (data / "more_kaldi").exists()


def damage_age(root, other):
    (root / "train" / "spk2age").write_text("0000 young\n")


def damage_path(root, other):
    table = root / "test" / "wav.scp"
    table.write_text(table.read_text().replace("WAVE/SPEAKER0008/00080.WAV", "../../etc/passwd"))


def damage_text(root, other):
    table = root / "test" / "text"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[1:]))


def damage_more(root, other):
    other.joinpath("wav.scp").write_text("a sox a.mp3 -t wav - |\n")
    other.joinpath("utt2spk").write_text("a x\n")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (damage_age, "spk2age: the speaker .* has the age"),
        (damage_path, "wav.scp: .*passwd is outside the corpus"),
        (damage_text, "wav.scp and text do not have the same utterances: 00080"),
        (damage_more, "a is a command: data must never start a program"),
        (lambda root, other: None, "neither a Kaldi folder .* nor a part of LibriSpeech"),
    ],
)
def test_what_is_wrong_is_named(prepare, corpus, tmp_path, damage, says):
    other = tmp_path / "other"
    other.mkdir()
    damage(corpus, other)
    with pytest.raises(UserError, match=says):
        prepare.main(["--speechocean-dir", str(corpus), "--out", str(tmp_path / "work"), "--more-speech", str(other)])


@pytest.mark.skipif(
    "DUALMODE_SPEECHOCEAN_DIR" not in os.environ, reason="DUALMODE_SPEECHOCEAN_DIR names no real corpus"
)
def test_the_real_corpus(prepare, tmp_path):
    prepare.main(["--speechocean-dir", os.environ["DUALMODE_SPEECHOCEAN_DIR"], "--out", str(tmp_path)])
    counts = {name: len(read_table(tmp_path / "data" / name / "text")) for name in ("train", "valid", "test")}
    assert counts == {"train": 2300, "valid": 200, "test": 2500}
    parts = list(read_table(tmp_path / "data" / "test" / "utt2subsets").values())
    assert sum("new_prompt" in names.split() for names in parts) == 2448
