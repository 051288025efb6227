import espnet2.train.trainer as trainer
import pytest
import torch
from espnet2.train.reporter import Reporter

from dualmode.errors import UserError
from dualmode.models.weights import load_into, load_weights
from dualmode.supernet.masked_linear import MaskedLinear
from dualmode.tasks.averaging import average_nbest_models, average_weights
from dualmode.tasks.patches.masked_average import masked_average


def epochs(folder, rates, masks):
    """Write a checkpoint for each token error rate, with a mask by number; return the layers and the reporter."""
    reporter, layers = Reporter(), []
    for epoch, (rate, mask) in enumerate(zip(rates, masks, strict=True), start=1):
        torch.manual_seed(epoch)
        layer = MaskedLinear(4, 4)
        layer.masks[0, mask] = False
        torch.save(layer.state_dict(), folder / f"{epoch}epoch.pth")
        layers.append(layer)
        reporter.set_epoch(epoch)
        with reporter.observe("valid") as sub:
            sub.register({"ter": rate})
            sub.next()
    return layers, reporter


def test_weights_with_the_best_one_s_masks_are_averaged(tmp_path):
    layers, reporter = epochs(tmp_path, [9.0, 3.0, 5.0, 7.0, 6.0], masks=[1, 1, 1, 1, 2])
    average_nbest_models(tmp_path, reporter, [("valid", "ter", "min"), ("valid", "absent", "min")], [1, 4])
    average = load_weights(tmp_path / "valid.ter.ave.pth")
    chosen = [layers[1], layers[2], layers[3]]  # of the four best, the one of epoch 5 has another mask
    torch.testing.assert_close(average["weight"], sum(layer.weight for layer in chosen).detach() / 3)
    assert torch.equal(average["masks"], layers[1].masks)
    load_into(MaskedLinear(4, 4), average, tmp_path / "valid.ter.ave.pth")
    assert torch.equal(load_weights(tmp_path / "valid.ter.ave_1best.pth")["weight"], layers[1].weight)
    assert sorted(path.name for path in tmp_path.glob("valid*")) == [
        "valid.ter.ave.pth", "valid.ter.ave_1best.pth", "valid.ter.ave_4best.pth"
    ]  # fmt: skip


def test_fewer_epochs_than_asked_for(tmp_path):
    _, reporter = epochs(tmp_path, [2.0, 1.0], masks=[0, 0])
    average_nbest_models(tmp_path, reporter, [("valid", "ter", "min")], 5)
    assert (tmp_path / "valid.ter.ave.pth").resolve().name == "valid.ter.ave_2best.pth"


def test_epochs_that_an_earlier_run_did_not_keep_are_left_out_and_said(tmp_path, capsys):
    """keep_nbest_models is raised when a training goes on."""
    layers, reporter = epochs(tmp_path, [3.0, 2.0, 1.0], masks=[1, 1, 1])
    (tmp_path / "2epoch.pth").unlink()
    average_nbest_models(tmp_path, reporter, [("valid", "ter", "min")], 3)
    average = load_weights(tmp_path / "valid.ter.ave_3best.pth")
    torch.testing.assert_close(average["weight"], (layers[0].weight + layers[2].weight).detach() / 2)
    said = capsys.readouterr().out
    assert said == "valid ter: the mean of the 3 best epochs is without 2epoch.pth, not kept\n"
    for file in tmp_path.glob("*epoch.pth"):
        file.unlink()
    with pytest.raises(UserError, match="no checkpoint of its 3 best epochs: 3epoch.pth is gone"):
        average_nbest_models(tmp_path, reporter, [("valid", "ter", "min")], 3)


def test_a_damaged_epoch_is_named_with_the_way_out(tmp_path, capsys):
    layers, reporter = epochs(tmp_path, [3.0, 2.0], masks=[1, 1])
    file = tmp_path / "2epoch.pth"
    data = file.read_bytes()
    values = layers[1].weight.detach().numpy().tobytes()
    file.write_bytes(data.replace(values, values[::-1]))
    with pytest.raises(UserError, match="2epoch.pth is not a readable checkpoint: .*: remove it and start the same"):
        average_nbest_models(tmp_path, reporter, [("valid", "ter", "min")], 2)
    assert not (tmp_path / "valid.ter.ave.pth").exists()
    file.unlink()
    average_nbest_models(tmp_path, reporter, [("valid", "ter", "min")], 2)
    assert torch.equal(load_weights(tmp_path / "valid.ter.ave.pth")["weight"], layers[0].weight)
    assert "is without 2epoch.pth" in capsys.readouterr().out


def test_steps_and_half_precision_keep_their_types():
    state = {"a": torch.tensor([1.0, 3.0], dtype=torch.float16), "step": torch.tensor(7)}
    other = {"a": torch.tensor([3.0, 5.0], dtype=torch.float16), "step": torch.tensor(9)}
    average = average_weights([state, other])
    assert average["a"].dtype == torch.float16 and average["a"].tolist() == [2.0, 4.0]
    assert average["step"] == 7


def test_the_training_loop_gets_this_average_and_nothing_else_does():
    before = trainer.average_nbest_models
    with masked_average():
        assert trainer.average_nbest_models is average_nbest_models
    assert trainer.average_nbest_models is before is not average_nbest_models
