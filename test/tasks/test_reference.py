"""ESPnet's Conformer in our trainer: studies/reference.py of speechocean762."""

import importlib.util
import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml

from dualmode.asr.build import build_asr_model
from dualmode.data.make_tokens import char_tokens, make_token_list
from dualmode.errors import UserError
from dualmode.frames import subsampled

PATH = Path(__file__).resolve().parents[2] / "egs" / "speechocean762" / "studies" / "reference.py"
CONF = {"output_size": 16, "num_blocks": 1, "attention_heads": 4, "linear_units": 32, "kernel_size": 5}
ALONE = {"branch_conf": {"sparse": 0}, "pruning_conf": {"interval": 0}}


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("reference", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(reference, **changes):
    options = {"encoder_conf": CONF, "init_encoder": None, "encoder_from": None, **ALONE, **changes}
    return reference.ReferenceTask.build_encoder(Namespace(**options))


def test_the_model_trains_espnet_s_encoder_with_our_loss(reference):
    torch.manual_seed(0)
    model = build_asr_model({"encoder_conf": CONF, **ALONE}, ["<blank>", "a", "b"], build(reference))
    speech, lengths = torch.randn(2, 61, 80), torch.tensor([61, 40])
    text, text_lengths = torch.tensor([[1, 2, 1], [2, 1, -1]]), torch.tensor([3, 2])
    loss, stats, _ = model(speech, lengths, text, text_lengths)
    assert set(stats) == {"loss", "loss_dense"} and torch.isfinite(loss)
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.encoder.conformer.parameters())
    model.eval()
    model.encoder.normalize.mean += 1
    encoded, frames = model.encoder.embed(speech, lengths)
    # Of the shorter one, ESPnet's mask counts a frame that hears padding, too.
    assert (frames - subsampled(lengths)).tolist() == [0, 1]
    expected, _, _ = model.encoder.conformer(speech - 1, lengths)
    assert torch.allclose(encoded, expected, atol=1e-5)
    assert model.encoder.encode(encoded, frames, None) is encoded


@pytest.mark.parametrize("changes", [{"branch_conf": {}}, {"pruning_conf": {}}, {"init_encoder": "exp/x"}])
def test_what_it_has_no_branch_for_is_refused(reference, changes):
    with pytest.raises(UserError, match="has no sparse branch and starts from random weights"):
        build(reference, **changes)


def test_a_set_is_decoded_as_stage_5_does(reference, tmp_path):
    torch.manual_seed(0)
    encoder, exp, data = build(reference), tmp_path / "exp", tmp_path / "test"
    vocabulary = char_tokens(["a"])
    model = build_asr_model({"encoder_conf": CONF, **ALONE}, vocabulary, encoder).eval()
    with torch.no_grad():
        model.head.bias[vocabulary.index("a")] = 50.0  # whatever is heard: says "a", once
    make_token_list(["a"], exp / "tokens", "char")
    torch.save(model.state_dict(), exp / "valid.ter.best.pth")
    conf = {"encoder_conf": encoder.config.to_dict(), "seed": 5, **ALONE}
    (exp / "config.yaml").write_text(yaml.safe_dump(conf))
    data.mkdir()
    soundfile.write(data / "u.wav", np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
    (data / "wav.scp").write_text(f"u {data / 'u.wav'}\n")
    reference.main(["decode", "--model", str(exp), "--data", str(data), "--out", str(exp / "decode_dense_test")])
    assert (exp / "decode_dense_test" / "text").read_text() == "u a\n"
    meta = json.loads((exp / "decode_dense_test" / "decode.json").read_text())
    assert (meta["set"], meta["sparsity"], meta["seed"], meta["utterances"], meta["audio_s"]) == ("test", 0, 5, 1, 1.0)
