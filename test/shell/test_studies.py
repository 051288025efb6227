"""What the studies of pruning ask the recipe for: masks and training must agree, and be those of a row's name."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from dualmode.encoder.config import EncoderConfig
from dualmode.supernet.pruning import PruningSchedule

ROOT = Path(__file__).resolve().parents[2]
RECIPE = """\
#!/usr/bin/env python3
import json, os, sys
with open(os.environ["CALLS"], "a") as out:
    out.write(json.dumps(sys.argv[1:]) + "\\n")
"""


class Study:
    """A study among recipes that only write down how they were called."""

    def __init__(self, folder: Path):
        self.folder, self.calls_file = folder, folder / "calls"
        for path in ("egs/common/lib.sh", "egs/common/studies.sh", "conf"):
            copy = shutil.copytree if (ROOT / path).is_dir() else shutil.copy
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            copy(ROOT / path, folder / path)
        for corpus in ("fsdd", "mini"):
            shutil.copytree(ROOT / "egs" / corpus / "studies", folder / "egs" / corpus / "studies")
            (folder / "egs" / corpus / "run.sh").write_text(RECIPE)
            (folder / "egs" / corpus / "run.sh").chmod(0o755)
        (folder / "env" / "bin").mkdir(parents=True)
        (folder / "env" / "bin" / "python").write_text(RECIPE)
        (folder / "env" / "bin" / "python").chmod(0o755)

    def refuse(self, script: str, **variables: str) -> str:
        """Run it where it must stop without calling a recipe; return what it said."""
        environment = os.environ | {"CALLS": str(self.calls_file)} | variables
        done = subprocess.run(["bash", script], cwd=self.folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 2 and not self.calls_file.exists()
        return done.stderr

    def run(self, script: str, **variables: str) -> dict[str, dict[str, str]]:
        """Run it; return the options of each call of a recipe's stage 4 by its --tag, and of the comparisons."""
        variables = {"WORK_DIR": "work"} | variables
        variables |= {"CALLS": str(self.calls_file), "DUALMODE_VENV": str(self.folder / "env")}
        done = subprocess.run(
            ["bash", script], cwd=self.folder, env=os.environ | variables, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        calls = {}
        for line in self.calls_file.read_text().splitlines():
            words = json.loads(line)
            if words[0] == "-m":
                calls[f"compare {Path(words[words.index('--out') + 1]).stem}"] = words
                continue
            options = dict(zip(words[::2], words[1::2], strict=True))
            tag = options["--tag"]
            calls[tag if "--asr-args" in options else f"before {tag}"] = options
        return calls


@pytest.fixture
def study(tmp_path) -> Study:
    return Study(tmp_path)


def settings(arguments: str) -> dict[str, dict]:
    """Return the nested settings, such as encoder_conf, that options for ESPnet's trainer set."""
    found: dict[str, dict] = {}
    words = arguments.split()
    for option, value in zip(words[::2], words[1::2], strict=True):
        if "=" in value:
            key, _, text = value.partition("=")
            found.setdefault(option.removeprefix("--"), {})[key] = yaml.safe_load(text)
    return found


def encoder(corpus: str, arguments: str) -> EncoderConfig:
    asr = yaml.safe_load((ROOT / "egs" / corpus / "conf" / "tuning" / "asr.yaml").read_text())
    return EncoderConfig(**{**asr["encoder_conf"], **settings(arguments)["encoder_conf"]})


def stage_3(config: EncoderConfig, path: str | Path) -> EncoderConfig:
    return EncoderConfig(**{**config.to_dict(), **yaml.safe_load(Path(path).read_text())})


@pytest.mark.parametrize("corpus", ["fsdd", "mini"])
def test_each_granularity_is_the_one_of_its_row(study, corpus):
    calls = study.run(f"egs/{corpus}/studies/granularity.sh", SEEDS="3")
    names = {
        "unstructured": "unstructured", "4x4": "blocks of 4x4", "8x4": "blocks of 8x4", "16x4": "blocks of 16x4",
        "units": "whole units", "n_of_m": "n of 4",
    }  # fmt: skip
    rows = [tag.removesuffix("_3") for tag in calls if not tag.startswith(("compare", "unpruned"))]
    assert {*names, "8x4-gradual", "units-one-shot"} < set(rows)
    for row in rows:
        call = calls[f"{row}_3"]
        config = encoder(corpus, call["--asr-args"])
        assert str(config.pruning.granularity) == names[row.partition("-")[0]]
        assert stage_3(config, call["--prune-config"]).pruning == config.pruning
        assert config.pruning.sparsities == ((0.5,) if row == "n_of_m" else (0.5, 0.7, 0.8, 0.9))
        decoded = [yaml.safe_load(Path(path).read_text())["sparsity"] for path in call["--decode-configs"].split()]
        assert decoded == [0.0, *config.pruning.sparsities]
        assert call["--prune-args"].startswith("--calibrate") == (row == "8x4-calibrated")

        schedule = PruningSchedule(**settings(call["--asr-args"])["pruning_conf"])
        estimates = [schedule.fraction(step) for step in range(240) if schedule.due(step)]
        if row.endswith(("-untrained", "-one-shot", "-calibrated")):
            assert estimates == []
        elif row.endswith("-gradual"):
            assert estimates == sorted(estimates) and estimates[0] == 0 and estimates[-1] == 1
        else:
            assert estimates == [1.0] * 7
    base = calls["unpruned_3"]
    assert settings(base["--pretrain-args"]) == settings(base["--asr-args"])
    assert encoder(corpus, base["--asr-args"]).sparsities == (0,)
    runs = [f"{row}={study.folder}/work/exp/asr_{row}_3" for row in rows]
    assert calls["compare granularity"][2 : 2 + len(runs)] == runs


@pytest.mark.parametrize("model", ["small", "recipe"])
def test_twins_differ_in_their_branches_only(study, model):
    calls = study.run("egs/fsdd/studies/twins.sh", SEEDS="0 1", MODEL=model, ROWS="supernet dense-alone sparse-alone "
                      "pruned-after pruned-late blocks-supernet")  # fmt: skip
    steps = 1920  # of asr.yaml
    asr = yaml.safe_load((ROOT / "egs" / "fsdd" / "conf" / "tuning" / "asr.yaml").read_text())
    assert asr["max_epoch"] * asr["num_iters_per_epoch"] == steps
    branches = {"dense-alone": {"sparse": 0}, "sparse-alone": {"dense": 0}, "pruned-after": {"dense": 0},
                "pruned-late": {"dense": 0}}  # fmt: skip
    for seed in ("0", "1"):
        start = ("unpruned_" if model == "small" else "base_") + seed
        for row in ("supernet", *branches, "blocks-supernet"):
            call = calls[f"{row}_{seed}"]
            masks = calls[f"before {call['--prune-tag']}"]
            assert masks["--pretrain-tag"] == start and call["--seed"] == seed
            found = settings("--encoder_conf dropout_rate=0.1 " + call["--asr-args"])
            config = encoder("fsdd", "--encoder_conf dropout_rate=0.1 " + call["--asr-args"])
            assert found.get("branch_conf", {}) == branches.get(row, {})
            assert (config.output_size == 96) == (model == "small")
            assert str(config.pruning.granularity) == ("blocks of 8x4" if row.startswith("blocks") else "whole units")
            assert stage_3(config, masks["--prune-config"]).pruning == config.pruning
            if row.startswith("pruned"):
                schedule = PruningSchedule(**{**asr["pruning_conf"], **found["pruning_conf"]})
                due = {step: schedule.fraction(step) for step in range(steps) if schedule.due(step)}
                assert due == {0: 0.0, 1919 if row == "pruned-after" else 1440: 1.0}
    assert len(calls["compare twins"][2].split(",")) == 2


@pytest.mark.parametrize(
    ("script", "row", "message"),
    [
        ("fsdd/studies/granularity.sh", "8x4-oneshot", "behind the granularity may stand "),
        ("fsdd/studies/granularity.sh", "8by4", "a row begins with "),
        ("mini/studies/granularity.sh", "8x4-", "behind the granularity may stand "),
        ("fsdd/studies/twins.sh", "blocks-twin", "it must be supernet, "),
        ("mini/studies/pretraining.sh", "typo", "it must be pretrained, "),
    ],
)
def test_a_row_that_there_is_not_is_refused_before_others_are_trained(study, script, row, message):
    good = {"granularity": "8x4", "twins": "supernet", "pretraining": "random"}[Path(script).stem]
    said = study.refuse(f"egs/{script}", ROWS=f"{good} {row}")
    assert said.startswith(f"error: ROWS has {row}: {message}")


@pytest.mark.parametrize(("corpus", "script"), [("fsdd", "granularity"), ("fsdd", "twins"), ("mini", "granularity")])
def test_what_a_study_writes_is_not_in_the_way_of_the_recipe(study, corpus, script):
    """In the corpus's folder, conf/decode_dense.yaml would go before the repository's in every later run."""
    calls = study.run(f"egs/{corpus}/studies/{script}.sh", SEEDS="3", WORK_DIR="")
    folder = study.folder / "egs" / corpus
    assert not (folder / "conf").exists()
    for call in calls.values():
        if isinstance(call, dict):
            files = [call.get("--prune-config", ""), *call.get("--decode-configs", "").split()]
            assert all((folder / file).is_file() for file in files if file)


def test_a_folder_that_cannot_be_made_is_named(study):
    (study.folder / "file").touch()
    said = study.refuse("egs/mini/studies/pretraining.sh", WORK_DIR="file")
    assert said == (
        f"error: cannot make the folder {study.folder}/file/exp/study_conf (Not a directory): name another WORK_DIR\n"
    )


@pytest.mark.parametrize(
    ("script", "about"),
    [
        ("fsdd/studies/granularity.sh", ["What do a granularity and a schedule of the masks cost?"]),
        ("fsdd/studies/twins.sh", ["Is one supernet as good as the two models that it replaces?"]),
        (
            "mini/studies/granularity.sh",
            ["where transcripts are few?", "What do a granularity and a schedule of the masks cost?"],
        ),
        ("mini/studies/pretraining.sh", ["What is pre-training worth?"]),
    ],
)
@pytest.mark.parametrize("words", [["--help"], ["--stage", "4", "-h"]])
def test_help_is_of_the_study_and_nothing_is_written(study, script, about, words):
    before = sorted(study.folder.rglob("*"))
    done = subprocess.run(
        ["bash", Path(script).name, *words],
        cwd=study.folder / "egs" / Path(script).parent,
        env=os.environ | {"CALLS": str(study.calls_file)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "") and sorted(study.folder.rglob("*")) == before
    places = [done.stdout.index(text) for text in [*about, '\n\nDefaults:\n  SEEDS="0 1 2"\n  ROWS="']]
    assert places == sorted(places)
    assert f"egs/{script} [OPTIONS OF run.sh]\n" in done.stdout
    assert "#" not in done.stdout and "set -e" not in done.stdout
    assert done.stdout.endswith(f"  WORK_DIR={study.folder / 'egs' / script.partition('/')[0]}\n")
