"""The model and the recordings of egs/mini/demo, which documents and pages use."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from dualmode.device.fallback import TorchDevice
from dualmode_runtime import engine
from dualmode_runtime.engine import Device

DEMO = Path(__file__).parents[2] / "egs" / "mini" / "demo"
TEXTS = {"temperature": "what is the temperature in the bedroom", "news": "stop new in the hallway"}


@pytest.mark.parametrize("kernels", [None, "portable"])
def test_the_recordings_are_recognised(library, kernels):
    device = Device.open(DEMO / "sparse.dmdl", kernels, library)
    for name, text in TEXTS.items():
        samples, rate = soundfile.read(DEMO / f"{name}.wav", dtype="float32")
        device.reset()
        for piece in np.array_split(samples, 7):
            device.accept_samples(piece, rate)
        device.finish()
        assert device.text == " ".join(word.text for word in device.words) == text


def test_words_of_a_device_file_have_times(library, monkeypatch, capsys):
    """Those of the engine, and the same ones where PyTorch runs the file."""
    from dualmode.bin.transcribe import main

    def missing():
        raise engine.EngineMissing("the device engine was not compiled")

    tables = []
    for load in (lambda: library, missing):
        monkeypatch.setattr(engine, "load_library", load)
        assert main([str(DEMO / "sparse.dmdl"), str(DEMO / "temperature.wav"), "--format", "ctm"]) == 0
        tables.append([line.split() for line in capsys.readouterr().out.splitlines()])
    rows, of_torch = tables
    assert rows == of_torch
    assert [row[4] for row in rows] == TEXTS["temperature"].split()
    starts = [float(row[2]) for row in rows]
    assert starts == sorted(starts) and 0 <= starts[0] and starts[-1] < 1.94  # seconds; the recording's length


def test_pytorch_recognises_them_too():
    data = (DEMO / "sparse.dmdl").read_bytes()
    device = TorchDevice(data, "sparse.dmdl")
    device.accept_samples(soundfile.read(DEMO / "temperature.wav", dtype="float32")[0])
    device.finish()
    assert device.text == TEXTS["temperature"]


def test_the_readme_says_what_is_heard():
    readme = (DEMO / "README.md").read_text(encoding="utf-8")
    for name, text in TEXTS.items():
        assert f"egs/mini/demo/{name}.wav {text}" in readme
