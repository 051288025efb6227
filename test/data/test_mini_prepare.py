"""egs/mini's data preparation, on a few utterances of every set."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from dualmode.bin import validate_data
from dualmode.data.kaldi_dir import read_table
from dualmode.errors import UserError

PREPARE = Path(__file__).parents[2] / "egs" / "mini" / "local" / "prepare.py"
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{PREPARE.parents[3]}:{PREPARE.parents[3]}/runtime"}
SETS = ("train", "valid", "test", "test_unseen_voices")


def prepare(out: Path, *options: str) -> Path:
    subprocess.run([sys.executable, PREPARE, "--out", out, *options], check=True, capture_output=True, env=ENVIRONMENT)
    return out


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    # 30 utterances are more than one block, so that two processes have something to share.
    return prepare(tmp_path_factory.mktemp("mini"), "--small", "30", "--jobs", "2")


@pytest.mark.parametrize("name", SETS)
def test_sets_pass_validation(made, name, capsys):
    validate_data.main([str(made / "data" / name), "--read-audio", "--min-ms", "1000", "--max-ms", "8000"])
    assert "30 utterances" in capsys.readouterr().out


def test_same_bytes_for_any_number_of_jobs(made, tmp_path):
    other = prepare(tmp_path, "--small", "30", "--jobs", "1")
    files = sorted(path.relative_to(made) for path in made.rglob("*.flac"))
    assert len(files) == 120
    assert [path for path in files if (made / path).read_bytes() != (other / path).read_bytes()] == []
    for name in SETS:
        assert (made / "data" / name / "text").read_bytes() == (other / "data" / name / "text").read_bytes()


def test_no_two_sets_share_a_sentence(made):
    texts = [set(read_table(made / "data" / name / "text").values()) for name in SETS]
    assert sum(map(len, texts)) == len(set().union(*texts))


def test_unseen_voices_are_unseen(made):
    speakers = {name: set(read_table(made / "data" / name / "utt2spk").values()) for name in SETS}
    variants = {name: {speaker.rpartition("-")[2] for speaker in speakers[name]} for name in SETS}
    assert not variants["test_unseen_voices"] & (variants["train"] | variants["valid"] | variants["test"])


def test_data_says_that_it_is_synthetic(made):
    assert "says nothing about accuracy on people" in " ".join((made / "data" / "README.md").read_text().split())


def test_a_voice_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.syspath_prepend(str(PREPARE.parent))
    from espeak import Speech, speak

    # espeak-ng itself would speak with the plain voice and say nothing.
    with pytest.raises(UserError, match="no variant nobody"):
        speak([Speech("en-us+nobody", 150, 50, 50, "hello")])
    with pytest.raises(UserError, match="no voice xx-yy"):
        speak([Speech("xx-yy", 150, 50, 50, "hello")])


def test_grammar_is_about_100_plain_words(monkeypatch):
    monkeypatch.syspath_prepend(str(PREPARE.parent))
    from grammar import MAX_WORDS, sentences

    drawn = sentences(3000, "any")
    words = {word for text in drawn for word in text.split()}
    assert 90 <= len(words) <= 115
    assert all(word.isalpha() and word.isascii() and word.islower() for word in words)
    assert max(len(text.split()) for text in drawn) <= MAX_WORDS
    assert len(set(sentences(200, "any", frozenset(drawn), distinct=True)) - set(drawn)) == 200


def test_every_word_of_the_test_sets_is_trained(monkeypatch):
    monkeypatch.syspath_prepend(str(PREPARE.parent))
    from prepare import SIZES, draw_sentences

    texts = draw_sentences({"train": 1440, **SIZES}, seed=1)
    trained = Counter(word for text in texts["train"] for word in text.split())
    assert min(trained[word] for name in SIZES for text in texts[name] for word in text.split()) >= 5
