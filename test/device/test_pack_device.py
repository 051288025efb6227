"""The command that writes device files, on a model folder."""

import pytest
import torch

from dualmode.asr.build import build_asr_model
from dualmode.bin.pack_device import main
from dualmode.bin.subnet import main as subnet
from dualmode.errors import UserError
from dualmode.supernet.pruning import estimate_masks
from dualmode.supernet.subnet import Context, Subnet
from dualmode_runtime.engine import Device

TOKENS = ["<blank>", "<unk>", "<space>", *"abcdefg"]
ENCODER = {"output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4}


@pytest.fixture
def folder(tmp_path, save_model):
    torch.manual_seed(0)
    conf = {"encoder_conf": ENCODER | {"chunk_ms": [320], "left_ms": [640]}}
    model = build_asr_model(conf, TOKENS).eval()
    model.encoder.normalize.mean.sub_(8)
    estimate_masks(model, model.encoder.config.pruning)
    return save_model(tmp_path / "model", conf, TOKENS, model), model


def test_a_model_folder_becomes_a_file_that_runs(folder, library, features, streamed_tokens, capsys):
    path, model = folder
    out = path / "out" / "model.dmdl"
    options = ["--model", str(path), "--sparsity", "0.7", "--chunk-ms", "320", "--left-ms", "640", "--out", str(out)]
    main([*options, "--precision", "fp32"])
    device = Device.open(out, library=library)
    assert capsys.readouterr().out == (
        f"{out}: {Subnet(0.7, Context(8, 16))}, fp32, {out.stat().st_size} bytes\n"
    ) and (device.info.chunk, device.info.left, round(device.info.sparsity, 6)) == (8, 16, 0.7)
    device.accept_features(features(300))
    device.finish()
    assert device.tokens == streamed_tokens(model, features(300), Subnet(0.7, Context(8, 16)))
    main(options)
    assert Device.open(out, library=library).info.int8


@pytest.mark.parametrize("masks", [{}, {"block": [8, 4]}, {"block": [4, 4]}, {"granularity": "unstructured"}])
def test_a_sub_network_by_itself_is_the_same_file(tmp_path, save_model, masks):
    """It has no masks, and is told by how it was pruned: the same bytes, or the same refusal."""
    torch.manual_seed(0)
    conf = {"encoder_conf": ENCODER | {"chunk_ms": [320], "left_ms": [640]} | masks}
    model = build_asr_model(conf, TOKENS).eval()
    estimate_masks(model, model.encoder.config.pruning)
    path, alone = save_model(tmp_path / "model", conf, TOKENS, model), tmp_path / "alone"
    subnet([str(path), "--subnet", "sparse", "--out", str(alone)])
    files = [tmp_path / "a.dmdl", tmp_path / "b.dmdl"]
    for where, out in zip((path, alone), files, strict=True):
        words = ["--model", str(where), "--chunk-ms", "320", "--left-ms", "640", "--out", str(out)]
        if "granularity" in masks:
            with pytest.raises(UserError, match="masks of granularity unstructured cannot run on the device engine"):
                main(words)
        else:
            main(words)
    if "granularity" not in masks:
        assert files[0].read_bytes() == files[1].read_bytes()


def test_a_context_that_was_not_trained_is_refused(folder):
    path, _ = folder
    with pytest.raises(UserError, match="was not trained to run as"):
        main(["--model", str(path), "--sparsity", "0.7", "--chunk-ms", "40", "--out", str(path / "x")])
    assert not (path / "x").exists()


def test_a_folder_in_place_of_the_file_is_refused(folder):
    path, _ = folder
    with pytest.raises(UserError, match=r"is a folder: give the name of a file, such as .*model\.dmdl$"):
        main(["--model", str(path), "--out", str(path)])


def test_a_file_of_another_kind_is_not_replaced(folder):
    path, _ = folder
    before = (path / "config.yaml").read_bytes()
    with pytest.raises(UserError, match="config.yaml is there and is no device file: name another file, or remove it"):
        main(["--model", str(path), "--sparsity", "0.7", "--out", str(path / "config.yaml")])
    assert (path / "config.yaml").read_bytes() == before
