"""dualmode.bin.prune on a small trained model."""

import json
from unittest import mock

import kaldiio
import numpy as np
import pytest
import torch
import yaml

from dualmode.asr.build import build_asr_model
from dualmode.bin.prune import main, nearest_rows
from dualmode.encoder.config import EncoderConfig
from dualmode.errors import UserError
from dualmode.models.folder import ModelFolder
from dualmode.supernet.pruning import estimate_masks
from dualmode.supernet.subnet import Context, Subnet
from dualmode.supernet.view import ALL

ENCODER = {
    "output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 32, "kernel_size": 3,
    "subsampling_channels": 2, "sparsities": [0.7], "chunk_ms": [160], "left_ms": [320],
}  # fmt: skip


@pytest.fixture
def trained(tmp_path, save_model):
    torch.manual_seed(0)
    conf, tokens = {"encoder_conf": ENCODER, "model_conf": {}}, ["<blank>", "<unk>", "a"]
    model = build_asr_model(conf, tokens)
    estimate_masks(model, model.encoder.config.pruning)
    return save_model(tmp_path / "model", conf, tokens, model)


def prune(trained, *more, **settings):
    config = trained.parent / "prune.yaml"
    config.write_text(yaml.safe_dump(settings))
    out = trained.parent / "pruned"
    main(["--config", str(config), "--model", str(trained), "--out", str(out), *more])
    return out, json.loads((out / "report.json").read_text())


def test_a_finished_model_gets_other_masks_and_decodes(trained, capsys):
    out, report = prune(trained, sparsities=[0.5, 0.75], granularity="n_of_m", block=[1, 4])
    assert report["granularity"] == "n of 4" and report["importance"] == "magnitude"
    for subnet, share in zip(report["subnets"], (0.5, 0.25), strict=True):
        assert set(subnet["kept_by_kind"].values()) == {share} and subnet["changed_share"] is None
    histogram = report["importance_histogram"]
    assert set(histogram["kinds"]) == {"ffn1", "attention", "convolution", "ffn2"}
    for counts in histogram["kinds"].values():
        assert sum(counts["kept"]["0.75"]) == sum(counts["groups"]) / 4 == sum(counts["kept"]["0.5"]) / 2
    assert sum(histogram["kinds"]["ffn1"]["groups"]) == 2 * 16 * 32  # of n of m, each weight is a group
    assert (out / "importance.png").is_file() and (out / "report_75.png").is_file()
    loaded = ModelFolder.open(out).load(Subnet(0.75, Context(4, 8)))
    assert loaded.parameters_kept == report["subnets"][1]["kept_parameters"] + 16 * 3 + 3  # and the CTC head
    assert "sparsity 75 %:" in capsys.readouterr().out


def test_whole_units_are_counted_as_they_are_stored(trained):
    _, report = prune(trained, sparsities=[0.5], granularity="units")
    # Half of 32 hidden units twice, of 2 heads of 8, of 16 channels; a unit has rows, biases and columns.
    gone = 2 * 16 * (16 + 1 + 16) + 8 * (3 * (16 + 1) + 16) + 8 * (2 * (16 + 1) + 16 + 3 + 1 + 2)
    assert report["encoder_parameters"] - report["subnets"][0]["kept_parameters"] == gone


def test_without_a_mask_the_weights_are_the_dense_one_s(trained):
    out, report = prune(trained, sparsities=[0.0])
    assert report["subnets"] == []
    before, after = ModelFolder.open(trained).supernet(), ModelFolder.open(out).supernet()
    features, lengths = torch.randn(1, 100, 80), torch.tensor([100])
    with torch.no_grad():
        expected, found = (model.encoder(features, lengths, Subnet())[0] for model in (before, after))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("settings", "granularity"),
    [
        ({}, "whole units"),
        ({"block": [4, 4]}, "blocks of 4x4"),
        ({"granularity": "units", "block": [4, 4]}, "whole units"),
    ],
)
def test_blocks_that_are_named_are_what_is_pruned(trained, settings, granularity):
    config = trained / "config.yaml"
    conf = yaml.safe_load(config.read_text())
    conf["encoder_conf"] = EncoderConfig(**conf["encoder_conf"]).to_dict()  # as a training writes it: with units
    config.write_text(yaml.safe_dump(conf))
    assert prune(trained, sparsities=[0.5], **settings)[1]["granularity"] == granularity


def test_no_other_model_is_written_over(trained):
    out, _ = prune(trained, sparsities=[0.5])
    (out / "tokens/bpe.model").write_text("of an older model")
    prune(trained, sparsities=[0.6])  # its own folder is
    assert not (out / "tokens/bpe.model").exists()
    for name in ("checkpoint.pth", "model.safetensors"):
        (out / name).touch()
        with pytest.raises(UserError, match=f"pruned holds {name}, which dualmode prune has not made"):
            prune(trained, sparsities=[0.7])
        (out / name).unlink()
    assert ModelFolder.open(out).encoder_config.sparsities == (0.6,)


def test_what_changed_is_counted(trained):
    assert prune(trained, sparsities=[0.7])[1]["subnets"][0]["changed_share"] == 0
    # Blocks in the place of whole units are other masks of the same sparsity.
    assert 0 < prune(trained, sparsities=[0.7], block=[8, 4])[1]["subnets"][0]["changed_share"] <= 0.7


def test_masks_are_compared_with_those_of_the_same_sparsity(trained, capsys):
    """Whatever their place among the others: the 50 % mask is no change of the old 70 %."""
    assert prune(trained, sparsities=[0.5])[1]["subnets"][0]["changed_share"] is None
    assert "mask entries changed: no such mask before" in capsys.readouterr().out
    out, report = prune(trained, sparsities=[0.3, 0.5, 0.7, 0.9])
    assert [subnet["changed_share"] for subnet in report["subnets"]] == [None, None, 0, None]
    prune(out, "--out", str(out.parent / "again"), sparsities=[0.5, 0.6, 0.9])
    report = json.loads((out.parent / "again" / "report.json").read_text())
    assert [subnet["changed_share"] for subnet in report["subnets"]] == [0, None, 0]


def test_importance_of_loud_inputs(trained):
    """Of equal weights, those stay whose inputs are loud: Wanda with inputs that are known."""
    from torch import nn

    from dualmode.supernet.activations import measure_inputs
    from dualmode.supernet.masked_linear import MaskedLinear

    module = nn.ModuleDict({"a": MaskedLinear(2, 1)})
    nn.init.constant_(module["a"].weight, -0.5)
    inputs = torch.tensor([[[3.0, 0.0], [4.0, 1.0]]])
    measure_inputs(module, lambda: module["a"](inputs, ALL))
    assert torch.allclose(module["a"].importance(), torch.tensor([[2.5, 0.5]]))  # 0.5 * (sqrt(9 + 16), 1)

    data = trained.parent / "data"
    data.mkdir()
    random = np.random.default_rng(0)
    matrices = {f"u{i}": random.normal(size=(40, 80)).astype(np.float32) for i in range(5)}
    kaldiio.save_ark(str(data / "feats.ark"), matrices, scp=str(data / "feats.scp"))
    _, report = prune(trained, "--calibrate", str(data), "--utterances", "2", sparsities=[0.7])
    assert report["importance"] == "magnitude times activations" and report["subnets"][0]["changed_share"] > 0


def test_what_is_heard_for_calibration_is_spread_over_the_set(trained, monkeypatch):
    """Of 127 utterances, two of three would leave 63 at the end unheard."""
    from dualmode.bin.prune import calibrate
    from dualmode.decoding import inputs
    from dualmode.supernet import activations

    names = [f"u{number:03d}" for number in range(127)]
    read: list[str] = []

    class Read(dict):
        def __missing__(self, key):
            read.append(key)
            return np.zeros((20, 80), np.float32)

        def __iter__(self):
            return iter(names)

    monkeypatch.setattr(inputs, "open_inputs", lambda *_: Read())
    monkeypatch.setattr(activations, "measure_inputs", lambda encoder, run: run())
    for count, expected in ((64, 64), (200, 127), (1, 1)):
        read.clear()
        encoder = mock.Mock()
        calibrate(encoder, trained, count)
        assert len(set(read)) == expected and (expected == 1 or int(read[-1][1:]) >= 127 - 127 // expected - 1)


def test_calibration_outlasts_the_next_estimate(trained):
    """What was measured goes with the model: masks found anew from the same weights are the same masks."""
    from dualmode.models.folder import ModelFolder
    from dualmode.supernet.masked_linear import prunable
    from dualmode.supernet.pruning import estimate_masks

    data = trained.parent / "data"
    data.mkdir()
    matrix = np.random.default_rng(0).normal(size=(80, 80)).astype(np.float32)
    kaldiio.save_ark(str(data / "feats.ark"), {"u0": matrix}, scp=str(data / "feats.scp"))
    plain, _ = prune(trained, sparsities=[0.7])
    by_magnitude = {name: layer.masks.clone() for name, layer in prunable(ModelFolder.open(plain).encoder())}
    out, _ = prune(trained, "--calibrate", str(data), sparsities=[0.7])
    encoder = ModelFolder.open(out).encoder()
    assert any(not torch.equal(layer.masks, by_magnitude[name]) for name, layer in prunable(encoder))
    assert estimate_masks(encoder, encoder.config.pruning) == 0
    with torch.no_grad():
        for _, layer in prunable(encoder):
            layer.weight.fill_(1.0)  # then the norms alone decide
    assert estimate_masks(encoder, encoder.config.pruning) > 0

    prune(out, "--out", str(out.parent / "again"), sparsities=[0.7])  # without --calibrate: by magnitude again
    encoder = ModelFolder.open(out.parent / "again").encoder()
    for name, layer in prunable(encoder):
        assert layer.input_norms is None and torch.equal(layer.masks, by_magnitude[name])


def test_mistakes_are_one_sentence(trained):
    with pytest.raises(UserError, match="has the key 'blocks'; it may hold sparsities"):
        prune(trained, blocks=[8, 4])
    with pytest.raises(UserError, match="the granularity is 'rows'"):
        prune(trained, granularity="rows")
    with pytest.raises(UserError, match="has neither feats.scp .* nor wav.scp"):
        prune(trained, "--calibrate", str(trained))
    with pytest.raises(UserError, match="^--utterances is of --calibrate, which is not given$"):
        prune(trained, "--utterances", "3")
    with pytest.raises(UserError, match="^--utterances is 0: it must be at least 1$"):
        prune(trained, "--calibrate", str(trained), "--utterances", "0")
    with pytest.raises(UserError, match="--out is the model folder .* itself"):
        prune(trained, "--out", str(trained / "../model"))
    (trained / "config.yaml").write_text("seed: 0\n")
    with pytest.raises(UserError, match="has no encoder_conf"):
        prune(trained)


def test_norms_start_as_those_of_the_nearest_sparsity():
    assert nearest_rows([0.5, 0.9], [0.4, 0.6, 0.8, 0.95]) == [0, 1, 1, 2, 2]
