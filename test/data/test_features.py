"""The door to feats.scp: what it reads, and that nothing in a list or an archive starts a program."""

import pickle
import struct

import kaldiio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode.bin.compute_cmvn import main as compute_cmvn
from dualmode.data.features import FeatureTable, load_matrix
from dualmode.decoding.inputs import open_inputs
from dualmode.errors import UserError

FEATURES = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def folder(tmp_path):
    with kaldiio.WriteHelper(f"ark,scp:{tmp_path}/a b[1].ark,{tmp_path}/feats.scp") as out:
        out("u1", FEATURES)
        out("u2", 2 * FEATURES)
    return tmp_path


def test_matrices_are_read_by_file_and_offset_whatever_the_file_is_called(folder):
    table = FeatureTable(folder / "feats.scp")
    assert list(table) == ["u1", "u2"] and len(table) == 2
    np.testing.assert_array_equal(table["u2"], 2 * FEATURES)


def test_compressed_and_double_matrices_come_as_float32(tmp_path):
    kaldiio.save_ark(str(tmp_path / "c.ark"), {"u": FEATURES}, compression_method=2, scp=str(tmp_path / "feats.scp"))
    np.testing.assert_allclose(FeatureTable(tmp_path / "feats.scp")["u"], FEATURES, atol=0.1)
    kaldiio.save_mat(str(tmp_path / "d.mat"), FEATURES.astype(np.float64))
    matrix = load_matrix(str(tmp_path / "d.mat"), "it")  # a file that is one matrix
    assert matrix.dtype == np.float32 and np.array_equal(matrix, FEATURES)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def command(path, mark):
    return f"u1 touch {mark} |\n"


def command_before(path, mark):
    return f"u1 | touch {mark}\n"


def command_as_file(path, mark):
    return f"u1 touch {mark} |:12\n"


def pickled(path, mark):
    data = pickle.dumps(Bomb(str(mark)))
    (path / "p.ark").write_bytes(b"u1 PKL" + struct.pack("<q", len(data)) + data)
    return f"u1 {path}/p.ark:3\n"


def pickled_array(path, mark):
    with open(path / "n.ark", "wb") as file:
        file.write(b"u1 NPY")
        np.save(file, np.array([Bomb(str(mark))], dtype=object), allow_pickle=True)
    return f"u1 {path}/n.ark:3\n"


@pytest.mark.parametrize("attack", [command, command_before, command_as_file, pickled, pickled_array])
def test_no_door_starts_a_program(tmp_path, attack):
    mark = tmp_path / "was-here"
    (tmp_path / "feats.scp").write_text(attack(tmp_path, mark))
    for door in (
        lambda: FeatureTable(tmp_path / "feats.scp")["u1"],
        lambda: open_inputs(tmp_path)["u1"],
        lambda: compute_cmvn(["--feats", str(tmp_path / "feats.scp"), "--out", str(tmp_path / "cmvn.json")]),
    ):
        with pytest.raises(UserError, match="u1"):
            door()
    assert not mark.exists()


@pytest.mark.parametrize("attack", [command, pickled])
def test_training_reads_by_the_same_door(tmp_path, attack):
    from espnet2.train.dataset import ESPnetDataset

    from dualmode.tasks import base  # noqa: F401  # registers the type
    from dualmode.tasks.launch import data_arguments

    mark = tmp_path / "was-here"
    (tmp_path / "feats.scp").write_text(attack(tmp_path, mark))
    _, triple, *_ = data_arguments("train", tmp_path, ["speech"])
    with pytest.raises(UserError, match="u1"):
        ESPnetDataset([tuple(triple.rsplit(",", 2))])["u1"]
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "feats.scp is empty"),
        ("u1\n", "feats.scp:1: expected an utterance and its features"),
        ("u1 x.ark:3\nu1 x.ark:9\n", "feats.scp:2: the utterance u1 comes twice"),
        ("u1 nowhere.ark:3\n", "the utterance u1 cannot be read from nowhere.ark:3"),
        ("u1 nowhere.ark:-3\n", "u1 cannot be read"),
        ("u1 nowhere.ark:99999999999999999999999\n", "u1 cannot be read"),
    ],
)
def test_a_bad_line_is_named(tmp_path, text, says):
    (tmp_path / "feats.scp").write_text(text)
    with pytest.raises(UserError, match=says):
        FeatureTable(tmp_path / "feats.scp")["u1"]


@pytest.mark.parametrize(
    ("matrix", "says"),
    [
        (np.full((2, 3), np.nan, np.float32), "u1 hold NaN or infinite values"),
        (np.ones(3, np.float32), r"u1 are no matrix of frames and bins but of shape \(3,\)"),
    ],
)
def test_what_is_no_features_is_named(tmp_path, matrix, says):
    kaldiio.save_ark(str(tmp_path / "x.ark"), {"u1": matrix}, scp=str(tmp_path / "feats.scp"))
    with pytest.raises(UserError, match=says):
        FeatureTable(tmp_path / "feats.scp")["u1"]


@given(cut=st.integers(0, 60), flip=st.integers(0, 59), value=st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_damaged_archives_give_a_matrix_or_a_sentence(tmp_path_factory, cut, flip, value):
    folder = tmp_path_factory.mktemp("fuzz")
    kaldiio.save_mat(str(folder / "a.mat"), FEATURES)
    data = bytearray((folder / "a.mat").read_bytes())
    data[flip] = value
    (folder / "a.mat").write_bytes(bytes(data[:cut]) if cut < 60 else bytes(data))
    try:
        assert load_matrix(str(folder / "a.mat"), "it").ndim == 2
    except UserError as error:
        assert str(error).startswith("it ") and "\n" not in str(error)
