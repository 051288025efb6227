"""equality.cpp, which tools/wheels.sh runs with the engines of wheels, on this machine."""

import subprocess
from pathlib import Path

import pytest
import soundfile

from dualmode_runtime.engine import DeviceModel, fbank
from dualmode_runtime.errors import UserError

FLAGS = Path("/proc/cpuinfo")
KERNELS = {"avx512vnni": "avx512_vnni", "avx2": "avx2", "dotprod": "asimddp"}  # and their flag in FLAGS


def test_products_and_text_on_every_instruction_set(compiled, demo, texts, tmp_path):
    if not FLAGS.is_file():
        pytest.skip("this system does not say what its processor has in /proc/cpuinfo")
    there = [name for name, flag in KERNELS.items() if flag in FLAGS.read_text().split()]
    for name in KERNELS:
        if name not in there:
            with pytest.raises(UserError, match=f"no kernels called {name}"):
                DeviceModel.open(demo / "sparse.dmdl", name)
    samples, _ = soundfile.read(demo / "temperature.wav", dtype="float32")
    fbank(samples).tofile(tmp_path / "features")
    words = [compiled / "equality", demo / "sparse.dmdl", tmp_path / "features", *there]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(f'"{texts["temperature"]}"') == len(there) + 1
