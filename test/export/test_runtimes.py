"""How audio is cut for sherpa-onnx, and exported folders that are damaged."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualmode.data.fbank import fbank
from dualmode.errors import UserError
from dualmode.export.runtimes import open_runtime, padded, read_about
from dualmode.frames import subsampled


@given(samples=st.integers(0, 30_000), chunk=st.integers(1, 20), right=st.integers(0, 4))
def test_padding_runs_every_chunk_that_holds_audio_and_none_more(samples, chunk, right):
    window, shift = 4 * (chunk + right) + 3, 4 * chunk
    audio = padded(np.ones(samples, np.float32), window, shift)
    assert (audio[:samples] == 1).all() and not audio[samples:].any()
    ready, run = (len(audio) + 80) // 160, 0
    while run * shift + window < ready:  # as sherpa-onnx decides
        run += 1
    frames = (samples + 80) // 160
    assert run == max(-(-subsampled(frames) // chunk), 1)


def test_the_drawn_example():
    assert len(fbank(padded(np.zeros(160 * 104, np.float32), 67, 64))) == 132


@pytest.fixture
def folder(exported, tmp_path):
    """A copy of an exported folder."""
    pytest.importorskip("sherpa_onnx", reason="sherpa-onnx is not installed (the extra export)")
    return shutil.copytree(exported("rnnt"), tmp_path / "sherpa")


def test_a_file_of_another_size_is_named(folder):
    (folder / "joiner.int8.onnx").write_bytes(b"")
    open_runtime(folder, "fp32")
    with pytest.raises(UserError, match="joiner.int8.onnx has 0 bytes, and export.json says [0-9]+ bytes: copy the"):
        open_runtime(folder, "int8")
    (folder / "encoder.onnx").unlink()
    with pytest.raises(UserError, match="encoder.onnx is not there, and export.json says [0-9]+ bytes: copy the"):
        open_runtime(folder, "fp32")


def test_what_sherpa_onnx_cannot_open_is_one_sentence(folder):
    path = folder / "decoder.onnx"
    path.write_bytes(b"no ONNX at all".ljust(path.stat().st_size))
    with pytest.raises(UserError, match="^sherpa-onnx cannot open .*/sherpa .*failed.*: copy the folder again, or.*$"):
        open_runtime(folder, "fp32")


@pytest.mark.parametrize(
    "damage, says",
    [
        (lambda lines: lines[:5], "tokens.txt has 5 tokens, which are not all of the model's: copy the folder again"),
        (lambda lines: [], "tokens.txt has 0 tokens"),
        (lambda lines: [*lines[:2], *lines[3:]], "tokens.txt:3 is no symbol with the number 2: copy the folder again"),
        (lambda lines: [line.replace(" ", "") for line in lines], "tokens.txt:1 is no symbol with the number 0"),
    ],
)
def test_another_number_of_tokens_is_refused(folder, damage, says):
    lines = (folder / "tokens.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "tokens.txt").write_text("".join(damage(lines)), encoding="utf-8")
    with pytest.raises(UserError, match=says):
        open_runtime(folder, "fp32")


def test_a_token_that_is_missing_is_told_of_folders_that_do_not_count_them(folder, audio):
    about = json.loads((folder / "export.json").read_text())
    del about["tokens"]
    (folder / "export.json").write_text(json.dumps(about))
    assert open_runtime(folder, "fp32").transcribe(audio(2.0, 0))
    (folder / "tokens.txt").write_text("<blk> 0\n")
    with pytest.raises(UserError, match="tokens.txt lacks a token that the model puts out: copy the folder again"):
        open_runtime(folder, "fp32").transcribe(audio(2.0, 0))
    (folder / "tokens.txt").unlink()
    with pytest.raises(UserError, match="tokens.txt is not there: copy the folder again"):
        open_runtime(folder, "fp32")


@pytest.mark.parametrize("key", ["window", "shift"])
@pytest.mark.parametrize("value", ["67", 1e9, 0, -4, True, 1 << 40, None])
def test_a_chunk_that_cannot_be_is_one_sentence(tmp_path, key, value):
    about = {"format": "sherpa-onnx", "kind": "ctc", "files": {"fp32": {"model.onnx": 9}}, "sparsity": 0.5}
    about |= {"chunk_ms": 160, "left_ms": 240, "lookahead_ms": 0, "window": 19, "shift": 16}
    (tmp_path / "export.json").write_text(json.dumps(about))
    assert read_about(tmp_path) == about
    (tmp_path / "export.json").write_text(json.dumps(about | {key: value}))
    with pytest.raises(UserError, match=f"export.json was not written by dualmode export: {key} cannot be"):
        read_about(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [{"files": {"fp32": {}}}, {"files": {"fp32": ["model.onnx"]}}, {"files": []}, {"kind": "rnnt"}, {"chunk_ms": 160}],
)
def test_an_export_json_of_something_else_is_one_sentence(tmp_path, changes):
    about = {"format": "sherpa-onnx", "kind": "ctc", "files": {"fp32": {"model.onnx": 9}}, "sparsity": 0.5}
    about |= dict.fromkeys(("chunk_ms", "left_ms", "lookahead_ms"))
    (tmp_path / "export.json").write_text(json.dumps(about))
    assert read_about(tmp_path) == about
    (tmp_path / "export.json").write_text(json.dumps(about | changes))
    with pytest.raises(UserError, match="export.json was not written by dualmode export"):
        read_about(tmp_path)
