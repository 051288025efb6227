"""A device model as WebAssembly under Node.js, against ONNX Runtime Web on the same sub-network as ONNX.

Needs Node.js and a folder in which ``npm install onnxruntime-web`` was run. ONNX Runtime is given features and runs the
encoder and its CTC head; the engine is timed with the same work, and from audio to text. One thread each.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from dualmode.cli import at_least, existing_dir, existing_file
from dualmode.data.fbank import BINS, fbank
from dualmode.device.build_wasm import WASM, WASM_MODULE
from dualmode.errors import UserError
from dualmode.frames import SAMPLE_RATE
from dualmode_runtime.audio.reading import read_audio

COLUMNS = ("engine", "cpu_ms_per_s", "rtf", "relative", "engine_mb", "model_mb")
THREADS = 1  # of each engine, whatever --threads says
FASTEST = "dualmode, from features"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", type=existing_file, required=True, metavar="DMDL", help="file of dualmode pack-device, of CTC"
    )
    parser.add_argument(
        "--onnx", type=existing_dir, required=True, metavar="DIR", help="folder of dualmode export, same sub-network"
    )
    parser.add_argument(
        "--npm", type=existing_dir, required=True, metavar="DIR", help="where onnxruntime-web is installed"
    )
    parser.add_argument(
        "--audio", type=existing_file, nargs="+", required=True, metavar="WAV", help="heard in one piece"
    )
    parser.add_argument("--rounds", type=at_least(1), default=15, metavar="N", help="timed rounds; the median counts")


def measure(args: argparse.Namespace) -> list[dict]:
    """Return a row for each engine: CPU ms for a second of audio, and how many times that of the fastest; sizes."""
    node = shutil.which("node")
    runtime = args.npm / "node_modules" / "onnxruntime-web"
    if node is None or not runtime.is_dir():
        raise UserError(f"this needs node, and {runtime}: run npm install onnxruntime-web in {args.npm}")
    export = json.loads((args.onnx / "export.json").read_text(encoding="utf-8"))
    version = json.loads((runtime / "package.json").read_text(encoding="utf-8"))["version"]
    onnx = {
        f"onnxruntime-web {version}, {precision}": args.onnx / file
        for precision, files in export["files"].items()
        for file in files
    }
    samples = np.concatenate([read_audio(path, SAMPLE_RATE) for path in args.audio])
    with tempfile.TemporaryDirectory() as folder:
        heard, features = Path(folder) / "samples", Path(folder) / "features"
        heard.write_bytes(samples.astype(np.float32).tobytes())
        features.write_bytes(fbank(samples).astype(np.float32).tobytes())
        given = {"engine": WASM / "engine.js", "ort": args.npm.absolute(), "device": args.model, "samples": heard}
        given |= {"features": features, "bins": BINS, "window": export["window"], "shift": export["shift"]}
        given = {key: str(value) if isinstance(value, Path) else value for key, value in given.items()}
        given |= {"onnx": {name: str(path) for name, path in onnx.items()}, "rounds": args.rounds, "repeat": 3}
        script = Path(__file__).with_suffix(".mjs")
        result = subprocess.run([node, script, json.dumps(given)], capture_output=True, text=True)
    if result.returncode:
        raise UserError(f"node {script} failed: {_reason(result.stderr)}")
    seconds = len(samples) / SAMPLE_RATE
    medians = {name: statistics.median(times) / seconds for name, times in json.loads(result.stdout).items()}
    ort_mb = (runtime / "dist" / "ort-wasm-simd-threaded.wasm").stat().st_size / 1e6
    return [
        {
            "engine": name,
            "cpu_ms_per_s": ms,
            "rtf": ms / 1000,
            "relative": ms / medians[FASTEST],
            "engine_mb": ort_mb if name in onnx else (WASM / WASM_MODULE).stat().st_size / 1e6,
            "model_mb": onnx.get(name, args.model).stat().st_size / 1e6,
        }
        for name, ms in medians.items()
    ]


def _reason(stderr: str) -> str:
    """The first line of Node's report that names an error."""
    lines = stderr.strip().splitlines() or ["no message"]
    return next((line for line in lines if "Error" in line), lines[-1])
