"""Three depths of installation: nothing imports a deeper one, and what is missing is named in one sentence."""

import json
import subprocess
import sys

import pytest
import soundfile

from dualmode.extras import EXTRA_OF

# Runs commands where the packages of all extras cannot be imported, as in an environment without them.
BLOCKED = f"""
import importlib.abc, json, sys
class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {sorted(EXTRA_OF)}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
from dualmode.__main__ import main, run
commands = json.loads(sys.argv[1])
run(lambda _: max(main(words) or 0 for words in commands))
"""


def run_without_extras(*commands) -> subprocess.CompletedProcess:
    words = json.dumps([list(map(str, command)) for command in commands])
    return subprocess.run([sys.executable, "-c", BLOCKED, words], capture_output=True, text=True)


def test_recognising_needs_no_extra(ctc_dir, noise, tmp_path):
    wav, packed, device = tmp_path / "a.wav", tmp_path / "packed", tmp_path / "a.dmdl"
    soundfile.write(wav, noise(1.5), 16000)
    (tmp_path / "text").write_text("a b\n")
    done = run_without_extras(
        ["transcribe", ctc_dir, wav, "--subnet", "dense", "--beam-size", "4"],
        ["stream", ctc_dir, wav],
        ["pack", ctc_dir, "--out", packed],
        ["transcribe", packed, wav],
        ["pack-device", ctc_dir, "--out", device],
        ["score", "--ref", tmp_path / "text", "--hyp", tmp_path / "text"],
    )
    assert done.returncode == 0 and device.is_file() and "WER" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("words", "needs"),
    [
        (["check-config", "--asr", "asr.yaml"], "espnet2, which is not installed: tools/setup.sh installs"),
        (["export", "MODEL", "--out", "x"], "onnx, which is not installed: pip install 'dualmode[export]'"),
    ],
)
def test_a_missing_extra_is_one_sentence(ctc_dir, tmp_path, monkeypatch, words, needs):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "asr.yaml").write_text("seed: 0\n")
    done = run_without_extras([ctc_dir if word == "MODEL" else word for word in words])
    assert done.returncode == 2 and done.stderr.startswith("error: "), done.stderr
    assert f" needs {needs}" in done.stderr and done.stderr.count("\n") == 1


def test_a_device_file_needs_nothing_of_dualmode():
    modules = "import sys, dualmode_runtime.recognizer, dualmode_runtime.__main__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", modules], capture_output=True, text=True, check=True)
    assert not {"dualmode", "torch", "yaml", "scipy", "kaldi_native_fbank"} & set(done.stdout.split())
