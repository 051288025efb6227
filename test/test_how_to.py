"""The README and the how-to pages: what they print is extracted and run in a checkout, from each page alone.

Without --slow, options are looked up and recipes are asked what they would do; with it, everything runs to the end.
"""

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dualmode.asr.build import build_asr_model
from dualmode.commands import COMMANDS
from dualmode.supernet.pruning import estimate_masks

ROOT = Path(__file__).parents[1]
TRAINING = ("bring-a-corpus", "fine-tune")  # their other commands are quick
PAGES = ("README", "recognise", *TRAINING, "change-the-sparsity", "give-away")
SMALL = "--train 6 --valid 2 --test 2"
TINY = "--small 8 --speeds 1.0 --max-rejected 50 --pretrain-config conf/tiny/pretrain.yaml"
TOKENS = ["<blank>", "<unk>", "<space>", *"abcdefghijklmnopqrstuvwxyz"]
SIZES = {"output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4}


def blocks(page: str) -> list[tuple[str, str]]:
    """Return the blocks of a page that can be run, each with its language: "sh" or "python"."""
    path = ROOT / ("README.md" if page == "README" else f"docs/how-to/{page}.md")
    return re.findall(r"^```(sh|python)\n(.*?)^```$", path.read_text(encoding="utf-8"), re.M | re.S)


def commands(page: str) -> list[str]:
    """Return what a page has to be typed, in its order: lines of a shell, whatever lines they take, and programs."""
    found = []
    for language, block in blocks(page):
        lines = block.replace("\\\n", " ").splitlines()
        found += lines if language == "sh" else [f"python - <<'END'\n{block}END"]
    return found


@pytest.fixture
def checkout(tmp_path, save_model):
    """A checkout with a model of mini that knows nothing, and ``dualmode`` among the programs."""
    mini = ("egs/mini/local", "egs/mini/conf", "egs/mini/demo")
    for folder in ("egs/common", "egs/TEMPLATE", *mini, "conf", "dualmode", "runtime"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "built"))
    shutil.copy(ROOT / "egs/mini/run.sh", tmp_path / "egs/mini/run.sh")
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
def test_every_option_of_the_page_is_known(page):
    """Of each dualmode command: there is one of that name, and it has the options."""
    lines = [line for line in commands(page) if "dualmode " in line and "<<" not in line and "built/" not in line]
    assert lines or page in ("README",)
    for line in lines:
        name, *words = shlex.split(line.rpartition("| ")[2].partition("dualmode ")[2], comments=True)
        parser = importlib.import_module(f"dualmode.bin.{COMMANDS[name].module}").get_parser()
        unknown = [word for word in words if word.startswith("--") and word not in parser._option_string_actions]
        assert not unknown, line


@pytest.mark.parametrize("page", TRAINING)
def test_every_command_of_the_page_is_accepted(checkout, page):
    for command in commands(page):
        if "new_voice.py" in command:
            command += f" {SMALL}"
        said = run(checkout, f"{command} --dry-run" if "run.sh" in command else command, venv="/none")
        assert "run.sh" not in command or "steps would run; nothing was done" in said


@pytest.mark.parametrize("page", TRAINING)
@pytest.mark.slow
def test_the_page_leads_to_a_table(checkout, page):
    """The trainings are as small as can be: what is tested is the way, not what is learnt on it."""
    shorten(*(checkout / f"conf/tuning/{name}.yaml" for name in ("finetune", "pretrain")))
    own = commands(page)
    own = own[:-1] if page == "bring-a-corpus" else own  # whose last one is the same again, in full size
    said = "".join(run(checkout, command, venv=sys.prefix) for command in own)
    assert re.search(r"^test  +dense  +full ", said, re.M) and re.search(r"^test  +sparse 70 %", said, re.M)


def shorten(*configs: Path) -> None:
    for path in configs:
        text, count = re.subn(r"^max_epoch: \d+", "max_epoch: 1", path.read_text(), flags=re.M)
        assert count == 1, path
        path.write_text(text)


def compile_engine(checkout: Path) -> None:
    run(checkout, "python3 runtime/dualmode_runtime/build.py", venv="/none")


@pytest.mark.slow
def test_recognise(checkout):
    compile_engine(checkout)
    (checkout / "egs/mini/dump/test").mkdir(parents=True)
    (checkout / "egs/mini/dump/test/wav.scp").write_text("t egs/mini/demo/temperature.wav\n")
    (checkout / "egs/mini/dump/test/text").write_text("t what is the temperature in the bedroom\n")
    own = commands("recognise")
    said = [run(checkout, command, venv="/none") for command in own]
    assert said[0] == "what is the temperature in the bedroom\n"
    assert '"text": "what is the temperature in the bedroom"' in said[own.index(next(c for c in own if "tail" in c))]
    assert sorted(path.name for path in (checkout / "subtitles").iterdir()) == ["news.vtt", "temperature.vtt"]


@pytest.mark.slow
def test_change_the_sparsity(checkout):
    shorten(checkout / "conf/tuning/finetune.yaml")
    sparsities = {r"dense  +full ", "sparse 50 %", "sparse 85 %"}
    rows = {
        "two": sparsities,
        "sparser": sparsities,
        "chunks": {r"dense  +full ", "sparse 70 %  +chunk 320 ahead 0 ", "sparse 70 %  +chunk 640 ahead 0 "},
        "ahead": {r"dense  +full ", "sparse 70 %  +chunk 640 ahead 0 ", "sparse 70 %  +chunk 640 ahead 160 "},
    }
    for command in commands("change-the-sparsity"):
        if "run.sh" in command:
            tiny = TINY if "--init-asr" in command else f"{TINY} --asr-config conf/tiny/asr.yaml"
            table = run(checkout, f"{command} {tiny}", venv=sys.prefix)
            for row in rows.pop(re.search("--tag ([a-z]+)", command)[1]):
                assert re.search(rf"^test  +{row}", table, re.M), f"{command}: {row}\n{table}"
        else:
            run(checkout, command, venv="/none")
    assert not rows


@pytest.mark.slow
def test_give_away(checkout):
    """What is run elsewhere has nothing but what was given."""
    for package in ("onnx", "onnxscript", "onnxruntime", "sherpa_onnx"):
        pytest.importorskip(package, reason=f"{package} is not installed (the extra export)")
    compile_engine(checkout)
    packing, running = (block.splitlines() for _, block in blocks("give-away"))
    for command in packing:
        said = run(checkout, command, venv="/none")
        assert "--check" not in command or "1 of 1 transcripts are ours" in said
    shutil.rmtree(checkout / "egs/mini/exp")
    for command in running:
        run(checkout, command, venv="/none")
    assert all((checkout / "given" / name / "README.md").is_file() for name in ("mini", "sparse", "sherpa"))


@pytest.mark.slow
def test_the_readme_in_a_fresh_clone(tmp_path):
    """As printed: the whole recipe, the engine, both commands, the program.  The tests are what is running.

    Trainings have one epoch: the table's figures are not asked for.
    """
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
    (program := clone / "programs/dualmode").parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dualmode "$@"\n')
    program.chmod(0o755)
    shorten(clone / "conf/tuning/pretrain.yaml", clone / "egs/mini/conf/tuning/asr.yaml")
    said = {}
    for command in commands("README"):
        if not command.startswith("bash test/run.sh"):
            said[command.partition(" ")[0]] = run(clone, command, venv=sys.prefix)
    assert re.search(r"^test  +sparse 70 %", said["./run.sh"], re.M)
    sentence = "what is the temperature in the bedroom"
    assert sentence in said["runtime/dualmode_runtime/built/dualmode-device"]
    assert "s: " in said["dualmode"] and re.search(r"\w+ \[0\.\d+(, 0\.\d+)*\]$", said["python"])
    assert "test/run.sh --slow" in (ROOT / ".ci/run").read_text()
