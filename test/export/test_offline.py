"""Whole utterances in ONNX Runtime and in sherpa-onnx's offline recognisers, against the recogniser itself."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch

from dualmode.bin.export import main
from dualmode.data.fbank import fbank
from dualmode.export.check import Audio, ours, run_sherpa
from dualmode.frames import SAMPLE_RATE
from dualmode.models.folder import ModelFolder
from dualmode.supernet.subnet import DENSE

KINDS = ("ctc", pytest.param("rnnt", marks=pytest.mark.slow))


@pytest.fixture(scope="module")
def dense(folders):
    return {kind: ModelFolder.open(folder).load(DENSE) for kind, folder in folders.items()}


@pytest.fixture(scope="module")
def whole(folders, tmp_path_factory):
    """``whole("ctc")`` is what the command writes of the dense recogniser when no chunk is asked for."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed (the extra export)")
    done = {}

    def make(kind: str):
        if kind not in done:
            done[kind] = tmp_path_factory.mktemp("whole") / kind
            options = ["--format", "sherpa-onnx", "--subnet", "dense", "--out", str(done[kind])]
            assert main([str(folders[kind]), *options]) == 0
        return done[kind]

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_any_lengths_is_what_we_compute(kind, whole, dense, audio):
    import onnxruntime

    features = [fbank(audio(seconds, seed)) for seed, seconds in enumerate((3.0, 1.3, 0.08))]
    lengths = np.array([len(x) for x in features])
    # sherpa-onnx pads with the logarithm of nearly nothing.
    batch = np.full((3, lengths.max(), 80), -23.0, np.float32)
    for row, x in zip(batch, features, strict=True):
        row[: len(x)] = x
    name = "model.onnx" if kind == "ctc" else "encoder.onnx"
    session = onnxruntime.InferenceSession(str(whole(kind) / name), providers=["CPUExecutionProvider"])
    output, frames = session.run(None, {"x": batch, "x_lens": lengths})
    model = dense[kind].model
    for row, count, x in zip(output, frames, features, strict=True):
        with torch.inference_mode():
            [encoded], expected_frames = model.encoder(torch.from_numpy(x)[None], torch.tensor([len(x)]), DENSE)
            expected = model.posteriors(encoded) if kind == "ctc" else model.joiner.encoder(encoded)
        assert count == expected_frames.item() >= 1
        np.testing.assert_allclose(row[:count], expected[:count], atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_sherpa_onnx_says_what_we_say(kind, whole, dense, wavs, audio, tmp_path):
    pytest.importorskip("sherpa_onnx", reason="sherpa-onnx is not installed (the extra export)")
    shorts = []
    for seconds in (1 / SAMPLE_RATE, 0.01, 0.03):  # 0, 1 and 3 feature frames, fewer than an encoder frame sees
        shorts.append(tmp_path / f"{seconds}.wav")
        soundfile.write(shorts[-1], audio(seconds), SAMPLE_RATE, subtype="FLOAT")
    heard = Audio.find([*wavs, *shorts])
    expected = {utt: ours(dense[kind], heard.samples(utt), None) for utt in heard.paths}
    assert expected["file000000"] and expected["file000001"] and not expected["file000005"]
    assert run_sherpa(whole(kind), "fp32", heard) == expected


def test_the_folder_says_that_audio_is_heard_whole(whole):
    about = json.loads((whole("ctc") / "export.json").read_text())
    assert about["chunk_ms"] is None and about["sparsity"] == 0 and "window" not in about


def test_the_cards_program_says_what_we_say(whole, dense, wavs, tmp_path):
    pytest.importorskip("sherpa_onnx", reason="sherpa-onnx is not installed (the extra export)")
    folder = shutil.copytree(whole("ctc"), tmp_path / "whole")
    code = (folder / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    shutil.copy(wavs[1], folder / "speech.wav")
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True, text=True)
    assert tuple(done.stdout.split()) == ours(dense["ctc"], Audio.find(wavs).samples("file000001"), None)
