"""Feature folders that another program, or an accident, wrote; sets in which nobody speaks; lists of rejected files."""

import kaldiio
import numpy as np
import pytest

from dualmode.bin.make_fbank import main as make_fbank
from dualmode.bin.validate_data import main as validate
from dualmode.data.rejection import read_rejections
from dualmode.decoding.inputs import open_inputs
from dualmode.errors import UserError
from dualmode.tasks.feature_lists import check_lists

MATRIX = np.random.default_rng(0).standard_normal((20, 80)).astype(np.float32)


def archive(folder, matrix) -> None:
    kaldiio.save_ark(str(folder / "x.ark"), {"a": matrix})
    (folder / "feats.scp").write_text(f"a {folder}/x.ark:2\n")


def test_features_of_others_in_double_precision_are_converted(tmp_path):
    archive(tmp_path, MATRIX.astype(np.float64))
    features = open_inputs(tmp_path, 80)["a"]
    assert features.dtype == np.float32 and np.array_equal(features, MATRIX)


@pytest.mark.parametrize(
    ("matrix", "sentence"),
    [
        (MATRIX[:, :40], "feats.scp: the features of the utterance a have 40 bins, the model hears 80"),
        (MATRIX[0], "utterance a are no matrix"),
        (MATRIX * np.nan, "utterance a hold NaN or infinite"),
        (MATRIX * np.inf, "utterance a hold NaN or infinite"),
        (MATRIX[:0], "utterance a"),
    ],
)
def test_matrices_that_are_no_features(tmp_path, matrix, sentence):
    archive(tmp_path, matrix)
    with pytest.raises(UserError, match=sentence):
        open_inputs(tmp_path, 80)["a"]


@pytest.mark.parametrize(
    "scp",
    [b"", b"a\n", b"a {}:2\n\n", b"a {}:999999\n", b"a {}:3\n", b"a {}:-1\n", b"a {}:9" + b"9" * 30 + b"\n", b"\n",
     b" a {}:2\n", b"a {}:2\na {}:2\n", b"a none.ark:2\n", b"a /:2\n", b"a cat {} |\n", b"a | cat {}\n",
     b"a\xa0 {}:2\n"],
)  # fmt: skip
def test_lists_that_are_none(tmp_path, scp):
    archive(tmp_path, MATRIX)
    (tmp_path / "feats.scp").write_bytes(scp.replace(b"{}", str(tmp_path / "x.ark").encode()))
    with pytest.raises(UserError, match="feats.scp"):
        dict(open_inputs(tmp_path, 80))


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("text", "b on\n", "text lacks the utterance a"),
        ("text", "a on\nb on\n", "feats.scp lacks the utterance b"),
        ("text", None, "there is no .*text"),
        ("speech_shape", None, "there is no .*speech_shape"),
        ("speech_shape", "a 20,40\n", "the model hears 80 bins"),
        ("speech_shape", "a 20\n", "expected frames,bins"),
        ("speech_shape", "a 0,80\n", "expected frames,bins"),
        ("speech_shape", "a -5,80\n", "expected frames,bins"),
    ],
)
def test_lists_for_a_training_that_do_not_fit_each_other(tmp_path, file, content, sentence):
    archive(tmp_path, MATRIX)
    (tmp_path / "text").write_text("a on\n")
    (tmp_path / "speech_shape").write_text("a 20,80\n")
    check_lists(tmp_path, ["speech", "text"], 80)
    (tmp_path / file).unlink() if content is None else (tmp_path / file).write_text(content)
    with pytest.raises(UserError, match=sentence):
        check_lists(tmp_path, ["speech", "text"], 80)


@pytest.fixture
def silence(tmp_path, tone):
    """A set of two utterances, one of them without words."""
    folder = tmp_path / "set"
    folder.mkdir()
    for name, one, two in (("wav.scp", f" {tone}", f" {tone}"), ("utt2spk", " s", " s"), ("text", " turn on", "")):
        (folder / name).write_text(f"a-1{one}\na-2{two}\n")
    return folder


@pytest.fixture
def tone(tmp_path):
    import soundfile

    soundfile.write(tmp_path / "a.wav", 0.1 * np.sin(np.arange(16000)), 16000)
    return tmp_path / "a.wav"


def test_an_empty_reference_stays_in_a_test_set_and_is_left_out_of_training(silence, tmp_path):
    validate([str(silence)])
    assert read_rejections(silence / "rejected.tsv") == []
    make_fbank(["--data", str(silence), "--out", str(tmp_path / "test"), "--unseen", "warn"])
    assert (tmp_path / "test" / "text").read_text() == "a-1 turn on\na-2\n"
    options = ["--speeds", "0.9,1.0", "--max-rejected", "60"]
    make_fbank(["--data", str(silence), "--out", str(tmp_path / "train"), *options])
    assert "a-2" not in (tmp_path / "train" / "text").read_text()
    rejected = read_rejections(tmp_path / "train" / "rejected.tsv")
    assert [(r.utt, r.reason.value) for r in rejected] == [("a-2", "no-text"), ("sp0.9-a-2", "no-text")]


@pytest.mark.parametrize(
    "content", [b"", b"x\n", b"utt\treason\tdetail\na\tno-text\n", b"utt\treason\tdetail\na\tmood\tx\n",
                b"utt\treason\tdetail", b"utt\treason\tdetail\n\xff\tno-text\tx\n", b"utt\treason\tdetail\n\n"],
)  # fmt: skip
def test_a_damaged_list_of_rejected_utterances_is_named(silence, content):
    (silence / "rejected.tsv").write_bytes(content)
    with pytest.raises(UserError, match=r"rejected\.tsv"):
        open_inputs(silence)
