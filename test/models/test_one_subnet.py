"""A sub-network on its own computes what the supernet does as that sub-network, bit by bit."""

import json
import subprocess
import sys

import pytest
import soundfile
import torch

from dualmode.asr.build import build_asr_model
from dualmode.bin.subnet import main
from dualmode.errors import UserError
from dualmode.models.folder import ModelFolder
from dualmode.supernet.pruning import estimate_masks
from dualmode.supernet.subnet import Context, Subnet

SPARSE = Subnet(0.7, Context(4, 8))
ENCODER = {
    "output_size": 32, "num_blocks": 2, "attention_heads": 4, "linear_units": 48, "kernel_size": 5,
    "subsampling_channels": 4, "sparsities": [0.5, 0.7], "chunk_ms": [160], "left_ms": [320],
}  # fmt: skip


@pytest.fixture(params=["blocks", "unstructured", "units"])
def trained(request, tmp_path, save_model):
    torch.manual_seed(0)
    conf = {"encoder_conf": {**ENCODER, "granularity": request.param}, "seed": 3, "model_conf": {}}
    tokens = ["<blank>", "<unk>", "<space>", *"abcdef"]
    model = build_asr_model(conf, tokens)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    estimate_masks(model, model.encoder.config.pruning)
    return save_model(tmp_path / "model", conf, tokens, model)


@pytest.mark.parametrize("subnet", [SPARSE, Subnet()])
def test_alone_is_as_in_the_supernet(trained, tmp_path, subnet, capsys):
    main([str(trained), "--sparsity", str(subnet.sparsity), "--out", str(tmp_path / "alone")])
    assert "MB, where the dense" in capsys.readouterr().out
    assert (
        ModelFolder.open(tmp_path / "alone").choose() == subnet and ModelFolder.open(trained).choose().sparsity == 0.5
    )
    inside, alone = ModelFolder.open(trained).load(subnet), ModelFolder.open(tmp_path / "alone").load(subnet)
    assert (inside.parameters_total, inside.parameters_kept) == (alone.parameters_total, alone.parameters_kept)
    assert inside.stored_bytes == alone.stored_bytes == (tmp_path / "alone/subnet.safetensors").stat().st_size
    assert subnet.sparsity == 0 or alone.parameters_kept < 0.6 * alone.parameters_total
    features, lengths = torch.randn(2, 61, 80), torch.tensor([61, 40])
    with torch.inference_mode():
        one, other = (
            loaded.model.posteriors(loaded.model.encoder(features, lengths, Subnet(0.0, subnet.context))[0])
            for loaded in (inside, alone)
        )
    assert torch.equal(one, other)


def test_the_cards_example_runs(trained, tmp_path, noise):
    (trained / "RESULTS.md").write_text("# x\n\n> synthetic speech\n\n| WER |\n\n![x](x)\n\n`exp/latest.pth`\n")
    main([str(trained), "--subnet", "sparse_0.7", "--out", str(tmp_path / "alone")])
    card = (tmp_path / "alone/README.md").read_text()
    assert card.startswith("---\nlibrary_name: dualmode\n") and "70 % pruned" in card and "Seed 3" in card
    assert "- chunk 160 ms, left context 320 ms" in card and "`latest.pth`" in card
    assert "> synthetic speech\n\n| WER |\n\n## Training" in card
    soundfile.write(tmp_path / "speech.wav", noise(1.0), 16000)
    code = card.partition("```python\n")[2].partition("```")[0]
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_refusals(trained, tmp_path):
    out = tmp_path / "alone"
    main([str(trained), "--sparsity", "0.7", "--out", str(out)])
    with pytest.raises(UserError, match="is there already"):
        main([str(trained), "--sparsity", "0.7", "--out", str(out)])
    with pytest.raises(UserError, match="no sub-network of sparsity 0.6"):
        main([str(trained), "--sparsity", "0.6", "--out", str(tmp_path / "other")])
    with pytest.raises(UserError, match="of sparsity 0.7 alone, not that of 0"):
        ModelFolder.open(out).load(Subnet())
    with pytest.raises(UserError, match="not trained to run as"):
        ModelFolder.open(out).load(Subnet(0.7, Context(5, 8)))
    about = json.loads((out / "subnet.json").read_text())
    (out / "subnet.json").write_text(json.dumps(about | {"format": "other"}))
    with pytest.raises(UserError, match="has the format 'other'"):
        ModelFolder.open(out).load(SPARSE)
    for text, said in (
        ("{", "not a file of dualmode subnet"),
        ("[]", "must hold keys and values"),
        (json.dumps({"format": about["format"]}), "subnet.json lacks sparsity"),
        (json.dumps(about | {"sparsity": "0.7"}), "sparsity is '0.7': it must be a number"),
        (json.dumps(about | {"parameters_kept": "12"}), "parameters_kept is '12'"),
        (json.dumps(about | {"config": {}}), "config has no encoder_conf"),
    ):
        (out / "subnet.json").write_text(text)
        with pytest.raises(UserError, match=said):
            ModelFolder.open(out)
