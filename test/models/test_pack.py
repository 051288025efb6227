"""A model that is given away: the same outputs, no pickle, no paths, never over something that is there."""

import json
import os
import subprocess
import sys

import pytest
import soundfile
import torch
import yaml
from safetensors.torch import load_file, save_file

from dualmode.asr import build
from dualmode.asr.build import build_asr_model
from dualmode.bin import pack
from dualmode.bin.subnet import main as subnet_main
from dualmode.data.make_tokens import make_token_list
from dualmode.data.tokens import Tokenizer
from dualmode.errors import UserError
from dualmode.models.card import NOT_RUN, model_card
from dualmode.models.folder import ModelFolder
from dualmode.models.weights import load_cmvn
from dualmode.recognizer import Recognizer
from dualmode.supernet.pruning import estimate_masks
from dualmode.supernet.subnet import Context, Subnet

ENCODER = {"output_size": 16, "num_blocks": 2, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4}
ENCODER |= {"granularity": "blocks"}
SPARSE = Subnet(0.7, Context.from_ms(640, 1280))
TABLE = "| set | WER % |\n| :-- | --: |\n| test | 2.91 |"
RESULTS = f"# mini\n\n> synthetic\n\n{TABLE}\n\n## How\n\n`/home/x/valid.ter.best.pth`\n"


@pytest.fixture(params=["ctc", "rnnt"])
def trained(request, tmp_path):
    """A model folder as training leaves it, with random weights."""
    folder = tmp_path / "asr_x"
    config = {"encoder_conf": ENCODER, "model_conf": {"kind": request.param}, "seed": 3, "output_dir": "/home/x/exp"}
    make_token_list(["hello world"], folder / "tokens", "bpe", 10)
    model = build_asr_model(config, Tokenizer.load(folder / "tokens").tokens)
    estimate_masks(model, model.encoder.config.pruning)
    model.encoder.normalize.mean.normal_()
    model.step = 7
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    torch.save(model.state_dict(), folder / "valid.ter.best.pth")
    (folder / "RESULTS.md").write_text(RESULTS)
    return folder


@pytest.fixture
def packed(trained, tmp_path):
    pack.main([str(trained), "--out", str(tmp_path / "given" / "away")])
    return tmp_path / "given" / "away"


def test_a_supernet_that_prunes_nothing_is_opened_in_chunks_and_its_card_runs(tmp_path, save_model):
    conf = {"encoder_conf": {**ENCODER, "sparsities": [0.0], "chunk_ms": [320]}, "model_conf": {"kind": "ctc"}}
    tokens = ["<blank>", "<unk>", "<space>", *"abc"]
    folder = save_model(tmp_path / "asr_x", {**conf, "seed": 0}, tokens, build_asr_model(conf, tokens))
    opened = ModelFolder.open(folder)
    assert opened.choose() == Subnet(0.0, Context.from_ms(320, 1280)) == opened.encoder_config.default_subnet()
    assert opened.choose("dense") == Subnet()
    with pytest.raises(UserError, match="no sub-network 'sparse': it is dense, with a chunk too .*prunes nothing"):
        opened.choose("sparse")
    pack.main([str(folder), "--out", str(tmp_path / "given")])
    call = (tmp_path / "given" / "README.md").read_text().partition("Recognizer.from_pretrained(")[2].partition(")")[0]
    assert call == '"given", subnet="dense", chunk_ms=320'
    Recognizer.from_pretrained(tmp_path / "given", subnet="dense", chunk_ms=320)


def test_sizes_of_another_model_are_told_before_memory_is_taken(packed):
    config = yaml.safe_load((packed / "config.yaml").read_text())
    config["encoder_conf"]["linear_units"] = 100_000  # which there is memory for
    (packed / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match=r"does not fit the configuration: it has .* and encoder_conf .* of 1.3e\+07"):
        ModelFolder.open(packed).load(SPARSE)


def test_sizes_without_memory_are_a_sentence(packed, monkeypatch):
    def no_memory(conf):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(build, "build_encoder", no_memory)
    with pytest.raises(UserError, match="no memory for a model of these sizes"):
        ModelFolder.open(packed).load(SPARSE)


@pytest.mark.parametrize("subnet", [Subnet(), SPARSE])
def test_outputs_and_masks_are_equal(trained, packed, subnet):
    ours, theirs = ModelFolder.open(trained).load(subnet), ModelFolder.open(packed).load(subnet)
    features, lengths = torch.randn(2, 150, 80), torch.tensor([150, 90])
    with torch.inference_mode():
        one, _ = ours.model.encoder(features, lengths, Subnet(0.0, subnet.context))
        two, _ = theirs.model.encoder(features, lengths, Subnet(0.0, subnet.context))
    assert torch.equal(one, two)
    assert ours.tokenizer.tokens == theirs.tokenizer.tokens and ours.stored_bytes == theirs.stored_bytes
    whole, again = (ModelFolder.open(folder).supernet().state_dict() for folder in (trained, packed))
    assert whole.keys() == again.keys() and all(torch.equal(whole[name], again[name]) for name in whole)


def test_a_folder_that_is_no_model_says_what_is_expected(tmp_path):
    with pytest.raises(UserError, match="no config.yaml: expected what dualmode train, pack or subnet leaves"):
        ModelFolder.open(tmp_path)
    (tmp_path / "export.json").write_text("{}")
    with pytest.raises(UserError, match="exported for sherpa-onnx, and its README.md says how it is run"):
        ModelFolder.open(tmp_path)


@pytest.mark.parametrize("granularity", ["units", "blocks"])
def test_the_card_counts_what_each_subnet_runs(tmp_path, save_model, granularity):
    sizes = {**ENCODER, "output_size": 128, "num_blocks": 5, "linear_units": 512, "granularity": granularity}
    config = {"encoder_conf": sizes, "model_conf": {}, "seed": 0}
    tokens = ["<blank>", "<unk>", "<space>", "a"]
    model = build_asr_model(config, tokens)
    estimate_masks(model, model.encoder.config.pruning)
    folder = save_model(tmp_path / "asr", config, tokens, model)
    lines = list(model_card("x", model, 0, "latest.pth", None))
    for subnet in model.encoder.config.trained_subnets():
        weights, _, context = str(subnet).partition(", ")
        kept = ModelFolder.open(folder).load(subnet).parameters_kept
        assert f"| {weights} | {context} | {kept / 1e6:.2f} M |" in lines


def test_the_folder_holds_what_the_card_says_and_nothing_of_this_machine(packed, trained):
    files = {str(path.relative_to(packed)) for path in packed.rglob("*") if path.is_file()}
    tokens = {f"tokens/{path.name}" for path in (trained / "tokens").iterdir()}
    assert files == {"README.md", "config.yaml", "cmvn.json", "model.safetensors"} | tokens
    assert yaml.safe_load((packed / "config.yaml").read_text()).keys() == {"encoder_conf", "model_conf", "seed"}
    for name in files:
        assert b"/home/x" not in (packed / name).read_bytes()
    card = (packed / "README.md").read_text()
    assert "\n# away\n" in card and "| test | 2.91 |" in card and "> synthetic" in card
    assert "| sparse 70 % | chunk 640 ms, left context 1280 ms" in card and "Seed 3" in card
    (licence,) = [line for line in card.splitlines() if "Apache-2.0" in line]
    assert "that of these weights follows from the data" in licence


def test_the_cards_example_runs(packed, noise):
    soundfile.write(packed.parent / "speech.wav", noise(1.0), 16000)
    code = (packed / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=packed.parent)


def test_the_statistics_are_those_of_the_model(packed):
    model = ModelFolder.open(packed).supernet()
    mean = model.encoder.normalize.mean.clone()
    assert json.loads((packed / "cmvn.json").read_text()).keys() == {"mean", "std"}
    model.encoder.normalize.mean.zero_()
    load_cmvn(model.encoder.normalize, packed / "cmvn.json")
    assert torch.equal(model.encoder.normalize.mean, mean)


def test_a_folder_that_is_there_stays_as_it_is(trained, tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match="mine is there already: choose another --out, or remove it"):
        pack.main([str(trained), "--out", str(tmp_path / "mine")])
    assert not list((tmp_path / "mine").iterdir())


def test_results_of_other_weights_are_not_given_away(trained, tmp_path):
    (trained / "latest.pth").write_bytes((trained / "valid.ter.best.pth").read_bytes())
    pack.main([str(trained), "--checkpoint", "latest.pth", "--out", str(tmp_path / "latest")])
    card = (tmp_path / "latest" / "README.md").read_text()
    assert NOT_RUN in card and "2.91" not in card and "`latest.pth`" in card


def test_results_that_are_older_than_the_weights_are_not_given_away(trained, tmp_path, capsys):
    results = (trained / "RESULTS.md").stat().st_mtime
    os.utime(trained / "valid.ter.best.pth", (results + 3600, results + 3600))  # the training went on
    pack.main([str(trained), "--out", str(tmp_path / "out")])
    assert NOT_RUN in (tmp_path / "out" / "README.md").read_text()
    assert "RESULTS.md is older than valid.ter.best.pth" in capsys.readouterr().err


@pytest.mark.parametrize("command", [pack.main, subnet_main])
def test_results_that_cannot_be_read_are_not_given_away(trained, tmp_path, capsys, command):
    (trained / "RESULTS.md").write_bytes(RESULTS.encode() + b"gr\xfc\xdfe\n")
    command([str(trained), "--out", str(tmp_path / "out")])
    assert NOT_RUN in (tmp_path / "out" / "README.md").read_text()
    [warning] = capsys.readouterr().err.splitlines()
    assert "RESULTS.md is not UTF-8, so that its error rates are not given away: score again" in warning


def test_a_failure_leaves_no_folder(trained, tmp_path):
    (trained / "tokens" / "tokens.json").unlink()
    with pytest.raises(UserError, match="tokens.json"):
        pack.main([str(trained), "--out", str(tmp_path / "out")])
    assert {path.name for path in tmp_path.iterdir()} == {"asr_x"}


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_cut_off_file_is_one_sentence(packed, share):
    path = packed / "model.safetensors"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(UserError, match="model.safetensors is not a readable checkpoint"):
        ModelFolder.open(packed).supernet()


def test_a_mask_that_does_not_fit_is_refused(packed):
    path = packed / "model.safetensors"
    tensors = load_file(path)
    name = next(name for name in tensors if name.endswith("masks"))
    save_file({**tensors, name: torch.ones_like(tensors[name])}, path)
    folder = ModelFolder.open(packed)
    for load in (folder.supernet, lambda: folder.load(SPARSE)):
        with pytest.raises(UserError, match="the checkpoint was not pruned to that sparsity"):
            load()
    folder.load(Subnet())  # as of an epoch on the ramp: the dense one has no mask
