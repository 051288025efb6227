"""Device files without the engine, and the engine without a compiler."""

import shutil
import struct
import zlib

import numpy as np
import pytest

from dualmode.device import fallback
from dualmode.device.container import read
from dualmode.device.pack import pack_model
from dualmode.errors import UserError
from dualmode.supernet.subnet import Context, Subnet
from dualmode_runtime import engine
from dualmode_runtime.build import LIBRARY, STAMP, NoCompiler, compile_engine, main
from dualmode_runtime.engine import Device


@pytest.fixture
def no_engine(monkeypatch):
    def missing():
        raise engine.EngineMissing("the device engine was not compiled")

    monkeypatch.setattr(engine, "load_library", missing)


@pytest.mark.parametrize("context", [0, 2])
def test_pytorch_runs_the_file_and_says_so(model, features, streamed_tokens, tmp_path, no_engine, capsys, context):
    recogniser, _ = model(context=context)
    subnet = Subnet(0.7, Context(5, 8, 3))
    path = tmp_path / "model.dmdl"
    path.write_bytes(pack_model(recogniser, "char", subnet, "fp32"))
    device = fallback.open_device(path)
    assert "the device engine was not compiled; PyTorch runs the model instead" in capsys.readouterr().err
    for seed in (0, 1):
        device.reset()
        device.accept_features(features(100, seed))
        device.accept_features(features(103, seed + 9))
        device.finish()
        x = np.concatenate([features(100, seed), features(103, seed + 9)])
        assert device.tokens == streamed_tokens(recogniser, x, Subnet(0.0, subnet.context)) and device.tokens
        assert device.text


def test_both_hear_the_same_in_samples(model, library, tmp_path):
    recogniser, subnet = model()
    data = pack_model(recogniser, "char", subnet, "fp32")
    samples = np.random.default_rng(0).uniform(-0.3, 0.3, 20000).astype(np.float32)
    heard = []
    for device in (Device.open(data, library=library), fallback.TorchDevice(data, "it")):
        device.accept_samples(samples[:7000])
        device.accept_samples(samples[7000:])
        device.finish()
        heard.append((device.tokens, [(word.text, word.start_ms, word.end_ms) for word in device.words]))
        assert " ".join(word.text for word in device.words) == device.text
    assert heard[0] == heard[1] and heard[0][1]


def test_integers_are_scaled_and_floats_on_their_scale_refused_by_both(model, library):
    recogniser, subnet = model()
    data = pack_model(recogniser, "char", subnet, "fp32")
    samples = np.random.default_rng(0).integers(-9000, 9000, 20000, dtype=np.int16)
    for device in (Device.open(data, library=library), fallback.TorchDevice(data, "it")):
        heard = []
        for given in (samples, samples.astype(np.float32) / 32768):
            device.reset()
            device.accept_samples(given)
            device.finish()
            heard.append(device.tokens)
        assert heard[0] == heard[1] and heard[0]
        device.reset()
        with pytest.raises(UserError, match="far outside of"):
            device.accept_samples(samples.astype(np.float32))


def test_a_file_that_is_not_there_is_refused_by_both(tmp_path, no_engine):
    with pytest.raises(UserError, match="gone cannot be read: No such file"):
        fallback.open_device(tmp_path / "gone")


def test_without_a_compiler_the_message_says_what_to_do(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("CXX", str(tmp_path / "no-such-compiler"))
    with pytest.raises(NoCompiler, match=r"no C\+\+17 compiler was found .*apt install g\+\+"):
        compile_engine(tmp_path)
    assert main([]) == 2 and capsys.readouterr().err.startswith("error: no C++17 compiler")


def test_a_compiler_that_fails_leaves_nothing(monkeypatch, tmp_path):
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\necho 'x.cpp:1: error: concepts are too new for me' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.raises(NoCompiler, match="cannot compile the device engine: x.cpp:1: error: concepts"):
        compile_engine(tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_library_that_is_missing_is_named(tmp_path):
    with pytest.raises(UserError, match="python -m dualmode_runtime.build"):
        engine.load_library(tmp_path / "gone.so")


def test_a_library_of_other_sources_is_not_used(built, tmp_path):
    for path in (built / LIBRARY, built / STAMP):
        shutil.copy(path, tmp_path)
    (tmp_path / STAMP).write_text("0" * 64)
    with pytest.raises(UserError, match="was compiled from other sources: run python -m dualmode_runtime.build"):
        engine.load_library(tmp_path / LIBRARY)


@pytest.mark.parametrize("context", [0, 2])
def test_nothing_is_made_of_a_header_that_promises_what_is_not_stored(model, monkeypatch, context):
    """A file of a few kilobytes could promise blocks of any number and size."""
    recogniser, subnet = model(context=context)
    config, stored = read(pack_model(recogniser, "char", subnet, "int8"), "it")
    monkeypatch.setattr(fallback, "build_asr_model", lambda *_: pytest.fail("memory was taken"))
    matrices = [name for name, values in stored.items() if np.ndim(values) == 2 and len(values) > 1]
    assert len(matrices) == 3 + 2 * 9 + (5 if context else 1)
    for name in matrices:
        rest = {other: values for other, values in stored.items() if other != name}
        monkeypatch.setattr(fallback, "read", lambda *_, rest=rest: (config, rest))
        with pytest.raises(UserError, match=f"^it is damaged: its header does not fit the section {name}$"):
            fallback.TorchDevice(b"", "it")


HEADERS = [(60, 1 << 30), (40, 1 << 31), (64, 3), (80, 7), (48, 0), (44, 3), (92, 2)]
HEADERS += [(72, 1 << 31), (68, 2000), (68, 1 << 31), (76, 5000), (76, 1 << 31), (32, 7), (84, 0), (88, 0x7FC00000)]


@pytest.mark.parametrize("at, number", [*HEADERS, (112, 1), (124, 1)])
def test_a_header_that_does_not_fit_is_refused(model, at, number):
    recogniser, subnet = model()
    file = bytearray(pack_model(recogniser, "char", subnet, "int8"))
    struct.pack_into("<I", file, at, number)
    header = struct.unpack_from("<I", file, 12)[0]
    file[28:32] = bytes(4)
    file[28:32] = struct.pack("<I", zlib.crc32(file[:header]))
    with pytest.raises(UserError, match="^it is damaged"):
        fallback.TorchDevice(bytes(file), "it")
