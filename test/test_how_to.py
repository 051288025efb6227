"""The commands of the how-to pages, as they are printed: as far as they go without training, and to the end."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dualmode.asr.build import build_asr_model
from dualmode.supernet.pruning import estimate_masks

ROOT = Path(__file__).parents[1]
PAGES = ("bring-a-corpus", "fine-tune")
SMALL = "--train 6 --valid 2 --test 2"
TOKENS = ["<blank>", "<unk>", "<space>", *"abcdefghijklmnopqrstuvwxyz"]
SIZES = {"output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4}


def commands(page: str) -> list[str]:
    """Return the commands of a page's shell blocks, one each, whatever lines they take."""
    text = (ROOT / f"docs/how-to/{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]


@pytest.fixture
def checkout(tmp_path, save_model):
    """A checkout with a model of mini that knows nothing, and ``dualmode`` among the programs."""
    for folder in ("egs/common", "egs/TEMPLATE", "egs/mini/local", "conf", "dualmode", "runtime"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "built"))
    torch.manual_seed(0)
    model = build_asr_model({"encoder_conf": SIZES}, TOKENS)
    estimate_masks(model, model.encoder.config.pruning)
    model.encoder.normalize.std.fill_(1.0)
    conf = {"encoder_conf": model.encoder.config.to_dict(), "model_conf": {}, "seed": 0}
    save_model(tmp_path / "egs/mini/exp/asr_base", conf, TOKENS, model)
    program = tmp_path / "programs/dualmode"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dualmode "$@"\n')
    program.chmod(0o755)
    return tmp_path


def run(checkout: Path, command: str, venv: str) -> str:
    path = f"{checkout / 'programs'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {
        "PATH": path,
        "PYTHONPATH": f"{checkout}:{checkout}/runtime",
        "DUALMODE_VENV": venv,
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(["bash", "-c", command], cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_the_page_is_accepted(checkout, page):
    for command in commands(page):
        if "new_voice.py" in command:
            command += f" {SMALL}"
        said = run(checkout, f"{command} --dry-run" if "run.sh" in command else command, venv="/none")
        assert "run.sh" not in command or "steps would run; nothing was done" in said


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_page_leads_to_a_table(checkout, page):
    """The trainings are as small as can be: what is tested is the way, not what is learnt on it."""
    for config in ("finetune", "pretrain"):
        path = checkout / f"conf/tuning/{config}.yaml"
        path.write_text(re.sub(r"^max_epoch: \d+", "max_epoch: 1", path.read_text(), flags=re.M))
    own = commands(page)
    for command in own[:-1] if page == "bring-a-corpus" else own:  # whose last one is the same again, in full size
        said = run(checkout, command, venv=sys.prefix)
    assert re.search(r"^test  +dense  +full ", said, re.M) and re.search(r"^test  +sparse 70 %", said, re.M)
