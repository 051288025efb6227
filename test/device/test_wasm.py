"""The engine as WebAssembly, under Node.js: its vector kernels against the portable ones, its texts against ours."""

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode import __version__
from dualmode.device.build_wasm import WASM, WASM_EXPORTS, WASM_MODULE, wasm_is_current
from dualmode.device.container import from_blocks, quantise, scale_of
from dualmode.device.pack import pack_model
from dualmode_runtime.engine import Device, resample

DEMO = Path(__file__).parents[2] / "egs" / "mini" / "demo"


LOADS = """
const { load } = await import(process.argv[1]);
for (const source of process.argv.slice(2)) {
  try {
    console.log((await load(source)).bytes.model);
  } catch (error) {
    console.log(error.message);
  }
}
"""


def test_a_model_is_loaded_by_url_or_path(module, tmp_path):
    assert wasm_is_current() or pytest.skip("the committed module was compiled from other sources")
    model = shutil.copy(DEMO / "sparse.dmdl", tmp_path / "a model #1.dmdl")
    sources = [model.name, f"./{model.name}", str(model), model.as_uri(), "none.dmdl"]
    command = ["node", "--input-type=module", "--eval", LOADS, (WASM / "engine.js").as_uri(), *sources]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[:4] == 4 * [str(model.stat().st_size)]
    assert said[4].startswith("none.dmdl cannot be read: ENOENT")


WORKER = """
import { readFileSync } from "node:fs";
const [worker, model, audio] = process.argv.slice(1);
const said = [];
const until = async (type) => {
  while (!said.some((message) => message.type === type || message.type === "error"))
    await new Promise((resolve) => setTimeout(resolve, 20));
};
Object.assign(globalThis, { onmessage: null, postMessage: (message) => said.push(message) });
await import(worker);
onmessage({ data: { type: "load", model, keep: true } });
await until("loaded");
const samples = new Float32Array(new Uint8Array(readFileSync(audio)).buffer);
for (let at = 0; at < samples.length; at += 1600)
  onmessage({ data: { type: "accept", samples: samples.slice(at, at + 1600), rate: 16000 } });
onmessage({ data: { type: "finish" } });
await until("finished");
for (const { type, message, startMs, endMs, samples } of said) {
  if (type === "error") throw new Error(message);
  if (type === "utterance")
    console.log(JSON.stringify([startMs, endMs, Buffer.from(samples.buffer).toString("base64")]));
}
"""


def test_the_second_pass_gets_the_audio_of_each_utterance(module, tmp_path):
    """Whole, also behind silence, where the engine takes up to a chunk of it for the next utterance."""
    assert wasm_is_current() or pytest.skip("the committed module was compiled from other sources")
    one, other = (soundfile.read(DEMO / f"{name}.wav", dtype="float32")[0] for name in ("temperature", "news"))
    silence = np.zeros(5080 * 16, np.float32)  # the endpoint at 5 s comes after the chunk in which speech begins
    samples = np.concatenate([silence, one, silence[:32000], other])
    samples.tofile(tmp_path / "samples")
    worker, model = (path.as_uri() for path in (WASM / "page" / "worker.js", DEMO / "sparse.dmdl"))
    command = ["node", "--input-type=module", "--eval", WORKER, worker, model, tmp_path / "samples"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    utterances = [json.loads(line) for line in lines]
    assert len(utterances) == 2 and utterances[0][0] < 5000
    for start, end, kept in utterances:
        heard = samples[round(16 * start) : round(16 * end)]
        np.testing.assert_array_equal(np.frombuffer(base64.b64decode(kept), np.float32), heard)


def packed(values) -> str:
    return base64.b64encode(values if isinstance(values, bytes) else np.ascontiguousarray(values).tobytes()).decode()


def products(call, keep, values, scales, bias, inputs, x, rows):
    """The products on the vector kernels and on the portable ones."""
    padded = np.zeros(len(keep) * rows, np.float32)
    if scales is not None:
        padded[: len(scales)] = scales
    given = dict(int8=int(scales is not None), outputs=len(bias), inputs=inputs, rows=rows, frames=len(x))
    arrays = dict(bitmask=np.packbits(keep), values=values, scales=padded, bias=bias.astype(np.float32), x=x)
    given |= {name: packed(array) for name, array in arrays.items()}
    answers = (call("product", kernels=kernels, **given) for kernels in ("simd128", "portable"))
    return [np.frombuffer(base64.b64decode(y), np.float32).reshape(len(x), len(bias)) for y in answers]


@settings(deadline=None, max_examples=60)
@given(
    int8=st.booleans(),
    rows=st.sampled_from([4, 8, 16]),
    outputs=st.integers(1, 70),
    inputs=st.integers(1, 90),
    frames=st.integers(1, 40),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    seed=st.integers(0, 2**16),
)
def test_products_are_those_of_the_portable_kernels(call, int8, rows, outputs, inputs, frames, share, seed):
    rng = np.random.default_rng(seed)
    keep = rng.random((-(-outputs // rows), -(-inputs // 4))) < share
    whole = np.where(keep.reshape(-1, 1, 1), rng.standard_normal((keep.size, rows, 4)), 0.0)
    dense = from_blocks(whole, outputs, inputs).astype(np.float32)
    scales = None
    weights = dense
    if int8:
        weights, codes = quantise(dense)
        scales = scale_of(codes).astype(np.float32)
    grid = np.pad(weights, ((0, -outputs % rows), (0, -inputs % 4)))
    values = grid.reshape(keep.shape[0], rows, keep.shape[1], 4).transpose(0, 2, 1, 3)[keep]
    bias, x = rng.standard_normal(outputs), rng.standard_normal((frames, inputs)).astype(np.float32)
    ours, portable = products(call, keep, values, scales, bias, inputs, x, rows)
    np.testing.assert_array_equal(ours, portable)
    expected = x.astype(np.float64) @ dense.T + bias
    assert np.abs(ours - expected).max() < (0.02 * np.abs(x).sum(axis=1).max() if int8 else 1e-4)


def test_extreme_int8_values_do_not_overflow(call):
    for sign in (-1, 1):
        keep, values = np.ones((1, 1024), bool), np.full((1024, 16, 4), 127 * sign, np.int8)
        x = np.ones((5, 4096), np.float32)
        for y in products(call, keep, values, np.ones(16, np.float32), np.zeros(16), 4096, x, 16):
            np.testing.assert_allclose(y, 4096 * 127 * sign, rtol=1e-6)


@pytest.mark.parametrize("kernels", ["simd128", "portable"])
@pytest.mark.parametrize("piece", [700, 48000])
def test_the_demo_is_heard_as_natively(call, library, kernels, piece):
    model = (DEMO / "sparse.dmdl").read_bytes()
    audio = [soundfile.read(DEMO / f"{name}.wav", dtype="float32")[0] for name in ("temperature", "news")]
    answer = call("hear", model=packed(model), kernels=kernels, audio=list(map(packed, audio)), rate=16000, piece=piece)
    assert answer["kernels"] == kernels
    for samples, [utterance] in zip(audio, answer["utterances"], strict=True):
        device = Device.open(model, library=library)
        device.accept_samples(samples)
        device.finish()
        assert utterance["text"] == device.text != ""
        assert (utterance["start"], utterance["end"]) == (device.start_ms, device.end_ms)
        assert [list(word.values()) for word in utterance["words"]] == [
            [word.text, word.start_ms, word.end_ms, word.stable_ms] for word in device.words
        ]


def test_utterances_end_and_rates_are_resampled_as_natively(call, library):
    model = (DEMO / "sparse.dmdl").read_bytes()
    one, other = (soundfile.read(DEMO / f"{name}.wav", dtype="float32")[0] for name in ("temperature", "news"))
    samples = np.concatenate([one, np.zeros(100000, np.float32), other, np.zeros(30000, np.float32), one])
    rules = dict(silenceMs=800, maxLeadMs=3000)
    [heard] = call("hear", model=packed(model), audio=[packed(samples)], rate=22050, piece=2205, endpointing=rules)[
        "utterances"
    ]
    device, expected = Device.open(model, library=library), []
    device.set_endpointing(silence_ms=800, max_lead_ms=3000)
    device.accept_samples(resample(samples, 22050, library))
    while device.endpoint:
        if device.endpoint != "nothing said":
            expected.append((device.text, device.start_ms, device.end_ms))
        device.next_utterance()
    device.finish()
    expected.append((device.text, device.start_ms, device.end_ms))
    assert [(u["text"], u["start"]) for u in heard] == [(text, start) for text, start, _ in expected]
    assert len(heard) > 1


@pytest.mark.parametrize("context", [0, 2], ids=["ctc", "rnnt"])
def test_models_of_all_kinds_run(call, model, library, context):
    recogniser, subnet = model(context=context)
    rng = np.random.default_rng(0)
    samples = (np.repeat(rng.choice([0.0, 0.001, 0.3], 15), 3200) * rng.standard_normal(48000)).astype(np.float32)
    for precision in ("int8", "fp32"):
        file = pack_model(recogniser, "char", subnet, precision)
        device = Device.open(file, "portable", library)
        device.accept_samples(samples)
        device.finish()
        [[utterance]] = call("hear", model=packed(file), audio=[packed(samples)], rate=16000, piece=1600)["utterances"]
        assert utterance["text"] == device.text != ""


def test_mistakes_are_one_sentence(call):
    model = (DEMO / "sparse.dmdl").read_bytes()
    for sample in (None, 16384, -16384):  # not a number, and integers of 16 bits that nobody divided
        with pytest.raises(RuntimeError, match=r"^samples are not finite, or far outside of \[-1, 1\]: divide"):
            call("refuse", model=packed(model), sample=sample)
    for rate in (0, -8000, 16000.5, 2**31, 2**32 + 16000, "16000"):
        with pytest.raises(RuntimeError, match=f"^expected a sample rate in whole Hz, not {rate}$"):
            call("refuse", model=packed(model), sample=0, rate=rate)
    for bins in (40, 160, 0):
        with pytest.raises(RuntimeError, match=f"^this model takes 80 features a frame, not {bins}$"):
            call("features", model=packed(model), frames=8, bins=bins)
    assert call("features", model=packed(model), frames=8, bins=80)
    with pytest.raises(RuntimeError, match=r"^the section tokens is damaged \(checksum\)$"):
        call("refuse", model=packed(model[:-1] + b"x"))
    with pytest.raises(RuntimeError, match="^this browser cannot run the engine"):
        call("refuse", model=packed(model), wasm=packed(b"no module"))
    with pytest.raises(RuntimeError, match="^this Recognizer is closed$"):
        call("misuse", model=packed(model))


def test_the_package_names_what_is_there():
    package = json.loads((WASM / "package.json").read_text(encoding="utf-8"))
    assert package["version"] == __version__
    assert all((WASM / name).exists() for name in [*package["files"], package["types"]])
    code = (WASM / "engine.js").read_text(encoding="utf-8")
    assert {name for name in re.findall(r'[."](dualmode_\w+)', code)} <= set(WASM_EXPORTS)
    assert (WASM / WASM_MODULE).stat().st_size + (DEMO / "sparse.dmdl").stat().st_size < 3e6


def test_the_committed_module_is_current():
    assert wasm_is_current(), "run python -m dualmode.device.build_wasm (Debian: emscripten)"
