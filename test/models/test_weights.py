import pickle
import resource

import pytest
import torch
from torch import nn

from dualmode.encoder.subsampling import GlobalNorm
from dualmode.errors import UserError
from dualmode.models.folder import ModelFolder
from dualmode.models.weights import find_checkpoint, load_into, load_weights, save_checkpoint
from dualmode.models.yaml_file import read_yaml
from dualmode.tasks.patches.whole_checkpoints import load_checkpoint


@pytest.mark.parametrize("size", [100, 100_000])
def test_a_disk_that_is_full_is_said_with_the_file(tmp_path, size):
    """The system's limit of a file's size stands for it: both refuse to write, early or at the last byte."""
    path, before = tmp_path / "checkpoint.pth", resource.getrlimit(resource.RLIMIT_FSIZE)
    save_checkpoint({"weight": torch.zeros(2)}, path)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        with pytest.raises(OSError, match="File too large") as raised:
            save_checkpoint({"weight": torch.zeros(size)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert raised.value.filename == str(path)
    assert load_weights(path)["weight"].tolist() == [0, 0] and list(tmp_path.iterdir()) == [path]  # the old one


class Hostile:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code ran')",))


def test_a_hostile_checkpoint_runs_nothing(tmp_path):
    path = tmp_path / "model.pth"
    torch.save({"weight": Hostile()}, path)
    with pytest.raises(UserError, match="not a readable checkpoint"):
        load_weights(path)
    path.write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(UserError, match="not a readable checkpoint"):
        load_weights(path)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_checkpoint_is_one_sentence(tmp_path, share):
    path = tmp_path / "model.pth"
    torch.save({"weight": torch.randn(500)}, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(UserError, match="not a readable checkpoint"):
        load_weights(path)


@pytest.mark.parametrize("kept_by", ["load_weights", "a training"])
def test_every_byte_of_a_checkpoint_is_looked_at(tmp_path, kept_by):
    """A flipped one is a sentence, or changes nothing: torch.load alone takes other numbers than were saved."""
    path, weights = tmp_path / "model.pth", {"weight": torch.arange(300.0), "masks": torch.ones(9, dtype=torch.bool)}
    save_checkpoint(weights, path)
    data, refused = path.read_bytes(), 0
    load = load_weights if kept_by == "load_weights" else load_checkpoint
    for at in range(0, len(data), 7):
        path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        try:
            loaded = load(path)
        except UserError as error:
            refused += 1
            assert str(path) in str(error) and "\n" not in str(error)
        else:
            assert loaded.keys() == weights.keys()
            assert all(torch.equal(loaded[name], tensor) for name, tensor in weights.items()), at
    assert refused > 1200 / 7  # at least where the numbers are


def test_what_does_not_fit_is_named(tmp_path):
    layer = nn.Linear(3, 2)
    with pytest.raises(UserError, match="lacks bias"):
        load_into(layer, {"weight": torch.zeros(2, 3)}, tmp_path)
    with pytest.raises(UserError, match=r"weight is \(2, 4\) there and \(2, 3\) here"):
        load_into(layer, {"weight": torch.zeros(2, 4), "bias": torch.zeros(2)}, tmp_path)
    with pytest.raises(UserError, match="has extra"):
        load_into(layer, {**layer.state_dict(), "extra": torch.zeros(1)}, tmp_path)


def test_an_averaged_mask_is_refused(tmp_path):
    layer = nn.Linear(3, 2)
    layer.register_buffer("masks", torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(UserError, match="mask masks is torch.float32, not boolean"):
        load_into(layer, {**layer.state_dict(), "masks": torch.full((2, 3), 0.5)}, tmp_path)


def test_missing_files(tmp_path):
    with pytest.raises(UserError, match="there is no checkpoint"):
        load_weights(tmp_path / "x.pth")
    with pytest.raises(UserError, match="train the model first"):
        find_checkpoint(tmp_path)
    (tmp_path / "valid.ter.ave.pth").symlink_to("valid.ter.ave_1best.pth")
    with pytest.raises(UserError, match="valid.ter.ave.pth is a link to valid.ter.ave_1best.pth, which is missing"):
        find_checkpoint(tmp_path)
    with pytest.raises(UserError, match="there is no file"):
        read_yaml(tmp_path / "x.yaml")


def test_what_epochs_are_ranked_by_is_what_is_opened(tmp_path):
    names = ("latest.pth", "valid.wer.best.pth", "valid.ter_sparse.best.pth", "valid.wer.ave.pth")
    for name in names:
        (tmp_path / name).touch()
    settings = tmp_path / "config.yaml"
    for criteria, found in [
        ("[[valid, wer, min]]", "valid.wer.ave.pth"),
        ("[[valid, ter_sparse, min], [valid, wer, min]]", "valid.ter_sparse.best.pth"),
        ("[[valid, loss, min]]", "latest.pth"),  # in its first epoch
    ]:
        settings.write_text(f"best_model_criterion: {criteria}\n")
        assert ModelFolder.open(tmp_path).checkpoint.name == found
    (tmp_path / "valid.loss.ave.pth").touch()  # the mean of several epochs comes before the best of them
    (tmp_path / "valid.loss.best.pth").touch()
    assert ModelFolder.open(tmp_path).checkpoint.name == "valid.loss.ave.pth"
    settings.write_text("encoder_conf: {}\n")
    assert ModelFolder.open(tmp_path).checkpoint.name == "valid.loss.ave.pth"


@pytest.mark.parametrize("criteria", ["3", "[valid, wer, min]", "[[valid, ../../x, min]]", "[[valid, wer]]"])
def test_a_configuration_that_ranks_by_nothing_is_refused(tmp_path, criteria):
    (tmp_path / "config.yaml").write_text(f"best_model_criterion: {criteria}\n")
    (tmp_path / "latest.pth").touch()
    with pytest.raises(UserError, match="config.yaml: best_model_criterion is .*it must be a list of"):
        _ = ModelFolder.open(tmp_path).checkpoint


@pytest.mark.parametrize("text", ["a: [1", "- 1\n", "", "a: 1\n\tb: 2", "\xff"])
def test_bad_yaml(tmp_path, text):
    path = tmp_path / "x.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match="x.yaml"):
        read_yaml(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path, value):
    layer = nn.Linear(3, 2)
    with pytest.raises(UserError, match="weight holds NaN or infinite values"):
        load_into(layer, {"weight": torch.full((2, 3), value), "bias": torch.zeros(2)}, tmp_path)


def test_a_standard_deviation_of_nothing_is_refused(tmp_path):
    model = nn.ModuleDict({"normalize": GlobalNorm(4)})
    weights = model.state_dict() | {"normalize.std": torch.tensor([1.0, 0.0, 1.0, 1.0])}
    with pytest.raises(UserError, match="normalize.std holds a standard deviation that is not above 0"):
        load_into(model, weights, tmp_path)
