"""A model folder with two sets decoded by two sub-networks, and one on a device, as stages 5 and 7 leave it."""

import json

import pytest

DENSE = {"subnet": "dense", "sparsity": 0.0, "chunk_ms": None, "lookahead_ms": None, "left_ms": None}
SPARSE = {"subnet": "sparse", "sparsity": 0.7, "chunk_ms": 640, "lookahead_ms": 0, "left_ms": 1280}
DEVICE = {
    "set": "test", "runtime": "dualmode", "precision": "int8", "sparsity": 0.7, "chunk_ms": 640, "lookahead_ms": 0,
    "left_ms": 1280, "bytes": 1_400_000, "rtf": 0.0125, "peak_memory_bytes": 50_000_000,
    "memory_before_bytes": 30_000_000, "transcripts_differ": 1, "utterances": 2, "command": "dualmode decode-device",
}  # fmt: skip
REFERENCE = "u1 turn on the light\nu2 stop\n"
HYPOTHESES = {"dense": "u1 turn on the light\nu2 stop it\n", "sparse": "u1 turn off light\nu2 stop\n"}


def decode_json(name: str, subnet: dict) -> dict:
    return subnet | {
        "set": name,
        "params_total": 2_500_000,
        "params_kept": 2_500_000 if subnet["sparsity"] == 0 else 1_210_000,
        "bytes": 10_000_000 if subnet["sparsity"] == 0 else 5_060_000,
        "rtf": 0.0125,
        "audio_s": 80.0,
        "decode_s": 1.0,
        "utterances": 2,
        "threads": 2,
        "batch_size": 1,
        "checkpoint": "exp/asr_x/best.pth",
        "seed": 7,
        "command": f"python -m dualmode.bin.asr_inference --data dump/{name} --config conf/{subnet['subnet']}.yaml",
    }


@pytest.fixture
def decoded(tmp_path):
    """Return (exp folder, data folder)."""
    exp, data = tmp_path / "exp" / "asr_x", tmp_path / "dump"
    for name in ("test", "other"):
        (data / name).mkdir(parents=True)
        (data / name / "text").write_text(REFERENCE)
        for subnet in (SPARSE, DENSE):
            folder = exp / f"decode_{subnet['subnet']}_{name}"
            folder.mkdir(parents=True)
            (folder / "text").write_text(HYPOTHESES[subnet["subnet"]])
            (folder / "decode.json").write_text(json.dumps(decode_json(name, subnet)))
    return exp, data


@pytest.fixture
def on_device(decoded):
    """Return (exp folder, data folder, a function that changes device.json)."""
    exp, data = decoded
    folder = exp / "device_engine_int8_test"
    folder.mkdir()
    (folder / "text").write_text("u1 turn off light\nu2 stop\n")

    def write(**changes):
        (folder / "device.json").write_text(json.dumps(DEVICE | changes))

    write()
    return exp, data, write
