"""A recipe of one's own: made from the template, and nothing of another corpus in it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dualmode.bin.new_recipe import make_recipe
from dualmode.errors import UserError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def checkout(tmp_path):
    """A checkout with no more than a recipe needs."""
    for folder in ("egs/common", "egs/TEMPLATE", "conf"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


@pytest.fixture
def run(checkout):
    """Return a function that runs a new recipe's first stages, with a program that stands in for Python."""
    make_recipe("mine", checkout)
    stub = checkout / "env/bin/python"
    stub.parent.mkdir(parents=True)
    shutil.copy(ROOT / "test/shell/stub_python.sh", stub)
    environment = os.environ | {"DUALMODE_VENV": str(checkout / "env"), "CALLS": str(checkout / "calls")}
    environment["CORPUS"] = str(checkout / "egs/mine")

    def run(*options: str) -> subprocess.CompletedProcess:
        command = ["egs/mine/run.sh", "--stop-stage", "1", *options]
        return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)

    return run


def test_a_new_recipe_runs_from_the_import_on(checkout, run):
    files = {str(path.relative_to(checkout / "egs/mine")) for path in (checkout / "egs/mine").rglob("*.*")}
    assert files == {"run.sh", "conf/tuning/asr.yaml"}
    for path in (checkout / "egs/mine").rglob("*.*"):
        assert not {"mini", "espeak", "synthetic", "home"} & set(path.read_text().lower().split())
    (checkout / "my data.csv").write_text("path,text\n")
    (checkout / "data.csv").write_text("path,text\n")
    assert run().stderr.startswith("error: --source names no corpus: what is to be imported?")
    (checkout / "a=b").symlink_to(".")  # a path, not a set's name
    assert "would run" in run("--source", "a=b/data.csv", "--dry-run").stdout
    assert run("--source", "none.csv").stderr == f"error: there is no {checkout}/none.csv (--source)\n"
    done = run("--source", "dev=data.csv", "--import-args", "--text-rule plain")
    assert done.returncode == 0, done.stderr
    calls = (checkout / "calls").read_text()
    assert (checkout / "calls.checks").read_text().endswith(" --text-rule plain --check-options\n")
    assert f"-m dualmode.bin.import_data dev={checkout}/data.csv --out . --max-rejected 1 --text-rule plain" in calls
    assert "the corpus: done already" in run("--source", "dev=data.csv", "--import-args", "--text-rule plain").stdout
    looser = run("--source", "dev=data.csv", "--import-args", "--text-rule plain", "--max-rejected", "5").stdout
    assert "the corpus: done already" in looser and "features of train: done already" in looser
    (checkout / "data.csv").write_text("path,text\na.wav,a\n")
    again = run("--source", "dev=data.csv", "--import-args", "--text-rule plain")
    assert "the corpus: again, since this changed: file" in again.stdout


@pytest.mark.parametrize("options", [["--init-asr"], ["--import-args"]])
def test_other_tokens_of_the_model_are_another_import(checkout, run, options):
    """What they cannot spell is left out."""
    (checkout / "data.csv").write_text("path,text\n")
    model = checkout / "model"
    (model / "tokens").mkdir(parents=True)
    for name in ("config.yaml", "model.pth", "cmvn.json", "tokens/tokens.txt", "tokens/tokens.json"):
        (model / name).touch()
    value = str(model) if options == ["--init-asr"] else f"--text-rule plain --tokens {model}"
    command = ["--source", "data.csv", *options, value]
    for _ in range(2):
        done = run(*command)
        assert done.returncode == 0, done.stderr
    assert "the corpus: done already" in done.stdout
    (model / "tokens/tokens.txt").write_text("<blank>\n")
    assert f"the corpus: again, since this changed: file {model}/tokens/tokens.txt" in run(*command).stdout
    (model / "config.yaml").write_text("seed: 1\n")
    assert "the corpus: done already" in run(*command).stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--text-rule plane", "argument --text-rule: invalid choice: 'plane'"),
        ("--columns sound=wav", "--columns sound=wav: expected WHAT=COLUMN"),
        ("--no-such", "--no-such"),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_wrong_words_for_the_import_are_refused_before_any_stage(checkout, words, message, dry):
    make_recipe("mine", checkout)
    for package in ("dualmode", "runtime"):
        (checkout / package).symlink_to(ROOT / package)
    (checkout / "data.csv").write_text("path,text\n")
    python = checkout / "env/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    command = ["egs/mine/run.sh", "--stop-stage", "1", "--source", "data.csv", "--import-args", words, *dry]
    environment = os.environ | {"DUALMODE_VENV": str(checkout / "env")}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert done.stderr.startswith("error: the configuration was refused: ") and "stage 0" not in done.stdout
    assert not (checkout / "egs/mine/data").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [("a b", "'a b' is no good name"), ("../x", "no good name"), ("common", "common is there already")],
)
def test_a_bad_name_is_one_sentence(checkout, name, message):
    with pytest.raises(UserError, match=message):
        make_recipe(name, checkout)


def test_an_installed_package_says_that_a_checkout_is_needed(tmp_path):
    with pytest.raises(UserError, match="new-recipe works in a checkout of the repository"):
        make_recipe("mine", tmp_path)
