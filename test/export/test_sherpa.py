"""Exported files in ONNX Runtime and in sherpa-onnx itself, against the recogniser that they were made from."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dualmode.asr.build import build_asr_model
from dualmode.bin.export import main
from dualmode.data.fbank import fbank
from dualmode.encoder.streaming import StreamingEncoder
from dualmode.errors import UserError
from dualmode.export.card import export_card, missing_s
from dualmode.export.check import Audio, compare, ours, run_sherpa
from dualmode.export.runtimes import padded
from dualmode.export.sherpa import encoder_graph, interface_of
from dualmode.frames import EXTRA, FACTOR, FRAME_MS
from dualmode.models.folder import ModelFolder
from dualmode.supernet.pruning import estimate_masks
from dualmode.supernet.subnet import DENSE, Context, Subnet

from .conftest import ENCODER, SUBNET, TOKENS

KINDS = ("ctc", "rnnt")
ROOT = Path(__file__).resolve().parents[2]


def run_card(folder, wav) -> tuple[str, ...]:
    """Return the words that the program on an exported folder's card prints when run in that folder."""
    shutil.copy(wav, folder / "speech.wav")
    code = (folder / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True, text=True)
    return tuple(done.stdout.split())


def session(path):
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def run_stream(path, interface, features: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Run features (batch, frames, bins) chunk by chunk; return the outputs put together, and the last states."""
    runtime, states = session(path), [x.numpy() for x in interface.zeros(len(features))]
    names, outputs = [x.name for x in runtime.get_inputs()], []
    for start in range(0, features.shape[1] - interface.window + 1, interface.shift):
        chunk = features[:, start : start + interface.window]
        output, *states = runtime.run(None, dict(zip(names, [chunk, *states], strict=True)))
        outputs.append(output)
    return np.concatenate(outputs, axis=1), states


@pytest.mark.parametrize("kind", KINDS)
def test_onnx_runtime_computes_what_we_compute_chunk_by_chunk(kind, exported, recognisers, audio):
    loaded = recognisers[kind]
    interface, model = interface_of(loaded), loaded.model
    features = np.stack([fbank(audio(4.0, seed)) for seed in (3, 4)])  # two streams in a batch
    name = "model.onnx" if kind == "ctc" else "encoder.onnx"
    output, states = run_stream(exported(kind) / name, interface, features)
    stream = StreamingEncoder(model.encoder, Subnet(0.0, loaded.context), streams=2)
    with torch.inference_mode():
        encoded = torch.stack(stream.accept(list(torch.from_numpy(features))))
        expected = model.posteriors(encoded) if kind == "ctc" else model.joiner.encoder(encoded)
    assert output.shape[1] > 20 * loaded.context.chunk  # many chunks, so that every cache was full and moved on
    np.testing.assert_allclose(output, expected, atol=1e-4)
    state = interface.unpack([torch.from_numpy(x) for x in states])
    for field in ("keys", "values", "convolution", "seen"):
        np.testing.assert_allclose(getattr(state, field), getattr(stream.state, field), atol=1e-4)


def test_predictor_and_joiner_are_those_of_the_recogniser(exported, recognisers):
    model, folder = recognisers["rnnt"].model, exported("rnnt")
    predictor, joiner = model.predictor, model.joiner
    # What sherpa-onnx gives before the first token, and after one, two and three.
    histories = np.array([[-1, -1, 0], [-1, 0, 3], [0, 3, 5], [3, 5, 9]])
    encoded = torch.randn(4, 16)
    with torch.inference_mode():
        predicted = predictor(torch.tensor([[3, 5, 9]]))[0]
        expected = joiner(encoded, predicted)
        projected = joiner.encoder(encoded).numpy()
    [decoded] = session(folder / "decoder.onnx").run(None, {"y": histories})
    [logits] = session(folder / "joiner.onnx").run(None, {"encoder_out": projected, "decoder_out": decoded})
    np.testing.assert_allclose(logits, expected, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_sherpa_onnx_says_what_we_say(kind, exported, recognisers, wavs):
    pytest.importorskip("sherpa_onnx", reason="sherpa-onnx is not installed (the extra export)")
    loaded, folder = recognisers[kind], exported(kind)
    heard = Audio.find(wavs)
    interface = interface_of(loaded)
    expected = {utt: ours(loaded, heard.samples(utt), (interface.window, interface.shift)) for utt in heard.paths}
    assert len("".join(expected["file000001"])) > 5
    texts = {precision: run_sherpa(folder, precision, heard) for precision in ("fp32", "int8")}
    assert texts["fp32"] == expected
    assert set(texts["int8"]) == set(expected)


@pytest.mark.parametrize(("chunk", "lookahead"), [(4, 0), (16, 8), (8, 16), (16, 16)])
def test_the_cards_silence_fills_the_last_chunk(chunk, lookahead):
    window, shift = FACTOR * (chunk + lookahead) + EXTRA, FACTOR * chunk  # feature frames, as Interface has them
    missing = [len(padded(np.zeros(n, np.float32), window, shift)) - n for n in range(16000, 16000 + 640 * chunk, 20)]
    about = {"chunk_ms": FRAME_MS * chunk, "lookahead_ms": FRAME_MS * lookahead}
    assert max(missing) <= 16000 * missing_s(about) < max(missing) + 2 * 640


@pytest.mark.parametrize("kind", KINDS)
def test_the_cards_program_says_what_we_say(kind, exported, recognisers, wavs, tmp_path):
    pytest.importorskip("sherpa_onnx", reason="sherpa-onnx is not installed (the extra export)")
    folder = shutil.copytree(exported(kind), tmp_path / kind)
    heard, interface = Audio.find(wavs), interface_of(recognisers[kind])
    expected = ours(recognisers[kind], heard.samples("file000001"), (interface.window, interface.shift))
    said, ours_only = " ".join(run_card(folder, wavs[1])), " ".join(expected)
    # It appends whatever may be missing of a chunk; what a model without knowledge hears in that silence is its own.
    assert said.startswith(ours_only) and len(ours_only) > 0.8 * len(said) > 5
    card = (folder / "README.md").read_text()
    assert card.startswith("---\n") and "sparse 50 %" in card and "- sherpa-onnx" in card
    assert ("stored as zeros" in card) == (not recognisers[kind].model.encoder.config.view(0.5).whole)
    assert re.findall(r"^\| `(.+)` \|", card, re.M)[-2:] == ["tokens.txt", "export.json"]
    assert {name for name in re.findall(r"`(.+?\.onnx)`", card)} == {path.name for path in folder.glob("*.onnx")}


@pytest.mark.parametrize("granularity", ["units", "unstructured"])
@pytest.mark.parametrize("subnet", [DENSE, SUBNET])
def test_the_card_says_that_zeros_are_stored_only_where_they_are(granularity, subnet, tmp_path, save_model):
    conf = {"encoder_conf": ENCODER | {"granularity": granularity}, "model_conf": {}}
    supernet = build_asr_model(conf, TOKENS)
    estimate_masks(supernet, supernet.encoder.config.pruning)
    loaded = ModelFolder.open(save_model(tmp_path / "model", conf, TOKENS, supernet)).load(subnet)
    about = {"kind": "ctc", "chunk_ms": None, "params_kept": 1, "params_total": 2, "files": {"fp32": {"x.onnx": 9}}}
    view = supernet.encoder.config.view(subnet.sparsity)
    assert view.whole == (granularity == "units")
    zeros = bool(view.level) and not view.whole  # pruned units are taken out
    assert ("stored as zeros" in "\n".join(export_card("x", loaded, about))) == zeros


def test_what_sherpa_onnx_dislikes_becomes_a_sentence(exported, wavs, tmp_path):
    pytest.importorskip("sherpa_onnx", reason="sherpa-onnx is not installed (the extra export)")
    for name in ("export.json", "tokens.txt"):
        (tmp_path / name).write_bytes((exported("ctc") / name).read_bytes())
    size = json.loads((tmp_path / "export.json").read_text())["files"]["fp32"]["model.onnx"]
    (tmp_path / "model.onnx").write_bytes(b"no ONNX at all".ljust(size))
    with pytest.raises(UserError, match=r"do not run in sherpa-onnx \(fp32\): sherpa-onnx cannot open .*failed"):
        run_sherpa(tmp_path, "fp32", Audio.find(wavs))


def test_the_command_writes_a_folder_and_checks_it(folders, wavs, tmp_path, capsys):
    pytest.importorskip("sherpa_onnx", reason="sherpa-onnx is not installed (the extra export)")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed (the extra export)")
    out = tmp_path / "out"
    options = [str(folders["ctc"]), "--format", "sherpa-onnx", "--subnet", "sparse", "--chunk-ms", "160"]
    status = main([*options, "--left-ms", "240", "--out", str(out), "--check", *map(str, wavs)])
    assert status == 0 and "fp32: 3 of 3 transcripts are ours" in capsys.readouterr().out
    about = json.loads((out / "export.json").read_text())
    assert (about["kind"], about["sparsity"], about["chunk_ms"], about["left_ms"]) == ("ctc", 0.5, 160, 240)
    assert about["files"] == {"fp32": {"model.onnx": (out / "model.onnx").stat().st_size}}
    assert about["checkpoint"] == "latest.pth"
    for path in out.iterdir():  # given away: nothing of this machine, nor what the exporter notes about our sources
        content = path.read_bytes()
        assert not [here for here in (folders["ctc"], ROOT) if str(here).encode() in content], path
        assert b"stack_trace" not in content and b"forward" not in content, path
    assert (out / "tokens.txt").read_text(encoding="utf-8").startswith("<blk> 0\n<unk> 1\n\u2581 2\na 3\n")


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"context": Context(4, 0)}, "caches cannot be empty"),
        ({"kernel_size": 1}, "caches cannot be empty"),
        ({"input_size": 40}, "features of 80 bins, and this model takes 40"),
        ({"predictor": "lstm"}, "no LSTM predictor"),
    ],
)
def test_what_the_interface_cannot_hold_is_refused(changes, sentence, recognisers):
    encoder = {"output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 8, "subsampling_channels": 2}
    encoder |= {name: changes[name] for name in ("kernel_size", "input_size") if name in changes}
    transducer = {"predictor": changes["predictor"]} if "predictor" in changes else None
    conf = {"encoder_conf": encoder, "model_conf": {"kind": "rnnt", "transducer": transducer} if transducer else {}}
    loaded = recognisers["ctc"]
    loaded = replace(
        loaded,
        model=build_asr_model(conf, loaded.tokenizer.tokens),
        subnet=Subnet(0.5, changes.get("context", Context(4, 6))),
    )
    with pytest.raises(UserError, match=sentence):
        encoder_graph(loaded)


def test_another_folder_is_never_replaced(folders, tmp_path):
    (tmp_path / "mine").write_text("mine")
    options = [str(folders["ctc"]), "--format", "sherpa-onnx", "--subnet", "sparse", "--chunk-ms", "160"]
    with pytest.raises(UserError, match="was not made by this command"):
        main([*options, "--left-ms", "240", "--out", str(tmp_path)])
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize(
    "options, sentence",
    [
        (["--subnet", "dense", "--sparsity", "0.5"], "are two sub-networks"),
        (["--subnet", "sparse", "--sparsity", "0.9"], "no sub-network of sparsity 0.9"),
        (["--subnet", "dense", "--chunk-ms", "160"], "was not trained to run as"),
    ],
)
def test_contradictions_are_refused(options, sentence, folders, tmp_path):
    with pytest.raises(UserError, match=sentence):
        main([str(folders["ctc"]), "--format", "sherpa-onnx", "--out", str(tmp_path / "x"), *options])


def test_the_report_names_what_differs_and_what_int8_costs():
    expected = {"a": ("one", "two"), "b": ("three", "four")}
    worse = {"a": ("one", "two"), "b": ("three", "five")}
    report = compare(expected, {"fp32": expected, "int8": worse}, references=None)
    assert report.equal and report.loss == 25.0
    assert report.lines == [
        "fp32: 2 of 2 transcripts are ours",
        "int8: 1 of 2 transcripts are ours",
        "  b: 'three five', ours: 'three four'",
    ]
    # Against references, an error for another is no loss.
    report = compare(expected, {"fp32": expected, "int8": worse}, {"a": ("one", "two"), "b": ("three", "six")})
    assert report.loss == 0.0 and report.lines[1] == "int8: 1 of 2 transcripts are ours, WER 25.00 % (ours 25.00 %)"
    assert not compare(expected, {"fp32": worse}, None).equal


def test_running_needs_no_torch():
    code = "import sys, dualmode.bin.device_inference, dualmode.export.runtimes; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
