"""What speechocean762's study asks the recipe for, in which order, and how its queue takes failures and signals."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from dualmode.asr.config import AsrConfig
from dualmode.config import from_mapping
from dualmode.errors import UserError
from dualmode.results.planned import Plan
from dualmode.supernet.pruning import PruningSchedule

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "egs" / "speechocean762"
PATIENCE_S = 120
# Writes down how it was called, and leaves results as the recipe and reference.py do.
STUB = """\
#!/usr/bin/env -S python3 -S -E
import json, os, pathlib, sys, time
words = sys.argv[1:]
with open(os.environ["CALLS"], "a") as out:
    out.write(json.dumps(words) + "\\n")
def value(option):
    return words[words.index(option) + 1]
folder = None
if "--tag" in words:
    folder = pathlib.Path(value("--work-dir")) / "exp" / ("asr_" + value("--tag"))
    if os.environ.get("FAILS", "none") in folder.name:
        sys.exit("the stub was asked to fail")
    if os.environ.get("HANGS", "none") in folder.name:
        time.sleep(1000)
    if os.environ.get("SLOW", "none") in folder.name:
        time.sleep(2)
if words[:2] == ["-m", "dualmode.bin.report"]:
    folder = pathlib.Path(value("--exp"))
if folder and "pre-" not in folder.name:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text("[]")
if words[0].endswith("choose.py"):
    rows = words[words.index("--rows") + 1 : words.index("--settings")]
    if any(list(pathlib.Path(value("--exp")).glob(f"asr_{row}_*")) for row in rows):
        print("supernet=a")
    pathlib.Path(value("--out") + "_rates.md").write_text("rates")
if words[:2] == ["-m", "dualmode.bin.compare"]:
    pathlib.Path(value("--out")).write_text("intervals")
"""


REMEDIES = (
    "dense-first", "alternate", "alternate-taught", "half-batches", "more-distillation", "fixed-masks",
    "alternate-double",
)  # fmt: skip
UPDATES = {
    "half": 1250,
    "dense-pruned": 1250,
    "dense-first": 1250,
    "alternate": 5000,
    "alternate-taught": 5000,
    "alternate-double": 10000,
    "half-batches": 5000,
    "dense-half-batches": 5000,
    "sparse-half-batches": 5000,
    "rnnt-alternate": 5000,
}


class Study:
    """The study beside a recipe and a Python that only write down how they were called."""

    def __init__(self, folder: Path):
        self.folder, self.calls_file, self.work = folder, folder / "calls", folder / "work"
        for path in ("egs/common", "egs/speechocean762/studies", "egs/speechocean762/conf", "conf"):
            shutil.copytree(ROOT / path, folder / path)
        for path in ("egs/speechocean762/run.sh", "env/bin/python"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(STUB)
            (folder / path).chmod(0o755)
        (folder / "env/bin/renice").symlink_to("/bin/true")  # at the lowest priority, a busy machine runs no test

    def start(self, *options: str, **variables: str) -> subprocess.Popen:
        environment = {"CALLS": str(self.calls_file), "DUALMODE_VENV": str(self.folder / "env")}
        command = ["bash", str(self.folder / "egs/speechocean762/studies/twins.sh"), "--work-dir", str(self.work)]
        return subprocess.Popen(
            [*command, *options], env=os.environ | environment | variables, cwd=self.folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *options: str, status: int = 0, **variables: str) -> str:
        process = self.start(*options, **variables)
        output, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == status, output
        return output

    def calls(self) -> list[list[str]]:
        """Return the calls since this was last asked."""
        lines = self.calls_file.read_text().splitlines() if self.calls_file.exists() else []
        self.calls_file.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]

    def trainings(self) -> dict[str, dict[str, str]]:
        """Return the options of each call of the recipe from stage 2 on, and of ESPnet's trainings, by tag."""
        found = {}
        for words in self.calls():
            if "--tag" in words:
                words = [word for word in words if word != "--from-scratch"] + ["from"] * (
                    "--from-scratch" in words
                ) * 2
                options = dict(zip(words[::2], words[1::2], strict=True))
                found[options["--tag"]] = options
            elif words[1:2] == ["train"]:
                found[Path(words[words.index("--out") + 1]).name.removeprefix("asr_")] = {"--asr-args": " ".join(words)}
        return found


@pytest.fixture
def study(tmp_path) -> Study:
    return Study(tmp_path)


def settings(arguments: str, config: str = "asr") -> dict[str, dict]:
    """Return the nested settings that options for ESPnet's trainer set, over those of the YAML."""
    found = yaml.safe_load((CORPUS / "conf" / "tuning" / f"{config}.yaml").read_text())
    for option, value in re.findall(r"--(\S+) (\S+)", arguments):
        key, equals, text = value.partition("=")
        if equals:
            found[option] = {**found[option], key: yaml.safe_load(text)}
        else:
            found[option] = value
    return found


def updates(arguments: str) -> int:
    found = settings(arguments)
    return int(found["max_epoch"]) * int(found["num_iters_per_epoch"])


def test_rows_differ_in_what_they_are_named_for_only(study):
    output = study.run("--seeds", "1", "--rates", "8.0e-4", "--jobs", "1")
    assert output.endswith("rates\nintervals")
    assert not (study.work / "conf").exists()  # which, in the corpus's folder, would be that of the recipe's runs
    calls = study.trainings()
    rows = {tag.removesuffix("_8.0e-4_1"): call for tag, call in calls.items() if tag.endswith("_8.0e-4_1")}
    assert list(rows) == [
        "supernet", "dense-alone", "sparse-alone", "espnet", "half", "dense-pruned", "scratch", "undistilled",
        "dense-double", "sparse-double", "espnet-double", "rnnt-supernet", "rnnt-dense-alone", "rnnt-sparse-alone",
        "dense-first", "alternate", "alternate-taught", "half-batches", "more-distillation", "fixed-masks",
        "alternate-double", "dense-half-batches", "sparse-half-batches", "rnnt-after-alternate", "rnnt-alternate",
    ]  # fmt: skip
    branches = {"both": {"dense": 1.0, "sparse": 1.0}, "dense": {"dense": 1.0, "sparse": 0}}
    branches["sparse"] = {"dense": 0, "sparse": 1.0}
    in_turn = branches["both"] | {"schedule": "alternate"}
    trained = {"supernet": "both", "scratch": "both", "undistilled": "both", "rnnt-supernet": "both"}
    trained |= {"sparse-alone": "sparse", "sparse-double": "sparse", "dense-pruned": "sparse"}
    trained |= {"rnnt-sparse-alone": "sparse", "sparse-half-batches": "sparse"}
    trained |= dict.fromkeys((*REMEDIES, "rnnt-after-alternate", "rnnt-alternate"), "both")
    for row, call in rows.items():
        config = "asr_rnnt" if row.startswith("rnnt") else "asr"
        conf, kind = settings(call["--asr-args"], config), trained.get(row, "dense")
        turns = row in ("alternate", "alternate-taught", "alternate-double", "rnnt-alternate")
        assert conf["branch_conf"] == (in_turn if turns else branches[kind] | {"schedule": "both"}), row
        assert conf["optim_conf"]["lr"] == conf["scheduler_conf"]["max_lr"] == 8.0e-4
        count = UPDATES.get(row, 5000 if row.endswith("double") else 2500)
        assert updates(call["--asr-args"]) == (count // 2 if row.startswith("rnnt") else count)
        decoded = [Path(path).stem for path in call.get("--decode-configs", "").split()]
        if row != "half" and not row.startswith("espnet"):
            assert decoded == {"both": ["decode_dense", "decode_sparse"]}.get(kind, [f"decode_{kind}"])
        if row in ("supernet", "dense-alone", "sparse-alone", "half"):
            pretrained = calls[call["--prune-tag"]]
            assert pretrained["--tag"] == f"pre-{kind}_1" and call["--stage"] == "4"
            assert settings(pretrained["--pretrain-args"], "pretrain")["branch_conf"] == branches[kind]
            assert updates(pretrained["--pretrain-args"]) == 1200
    # Without --asr-args the recipe would do the same: branches that take turns are its own way.
    conf, own = settings(rows["alternate"]["--asr-args"]), settings("")
    assert PruningSchedule(**conf["pruning_conf"]) == PruningSchedule(**own["pruning_conf"])
    assert conf["branch_conf"] == own["branch_conf"] and updates(rows["alternate"]["--asr-args"]) == updates("")
    for key in ("distill_weight", "flat_start"):
        assert conf["model_conf"][key] == own["model_conf"][key]
    assert from_mapping(AsrConfig, settings(rows["undistilled"]["--asr-args"])["model_conf"], "").distill_weight == 0
    # As many updates as branches that take turns, of half a batch each: as much computing as a model alone.
    for kind in ("dense", "sparse"):
        conf, alone = (settings(rows[f"{kind}-{name}"]["--asr-args"]) for name in ("half-batches", "alone"))
        assert 2 * int(conf["batch_bins"]) == int(alone["batch_bins"])
        assert updates(rows[f"{kind}-half-batches"]["--asr-args"]) == updates(rows["alternate"]["--asr-args"])
        assert conf["pruning_conf"]["end"] == 3000
        assert rows[f"{kind}-half-batches"]["--prune-tag"] == f"pre-{kind}_1"
    assert "from" in rows["scratch"] and "from" not in rows["supernet"]
    assert rows["dense-pruned"]["--prune-asr"] == "half_8.0e-4_1" and rows["dense-pruned"]["--stage"] == "3"
    assert settings(rows["dense-pruned"]["--asr-args"])["pruning_conf"]["interval"] == 0
    assert rows["rnnt-supernet"]["--prune-asr"] == "supernet_8.0e-4_1"
    assert rows["rnnt-supernet"]["--asr-config"].endswith("asr_rnnt.yaml")
    assert rows["rnnt-alternate"]["--prune-asr"] == rows["rnnt-after-alternate"]["--prune-asr"] == "alternate_8.0e-4_1"
    assert updates(rows["rnnt-alternate"]["--asr-args"]) == 2 * updates(rows["rnnt-supernet"]["--asr-args"])
    assert "distill" not in rows["rnnt-alternate"]["--asr-args"] + rows["rnnt-supernet"]["--asr-args"]


def test_remedies_compute_as_much_as_the_supernet_and_differ_in_what_they_are_named_for_only(study):
    study.run("--seeds", "1", "--rates", "8.0e-4", "--jobs", "1", "--rows", f"supernet {' '.join(REMEDIES)}")
    calls = {tag.removesuffix("_8.0e-4_1"): call for tag, call in study.trainings().items()}
    rows = {row: settings(calls[row]["--asr-args"]) for row in ("supernet", *REMEDIES)}
    # Frames of a branch that training passes over, with those of the dense model that dense-first begins with.
    passed = {
        row: updates(calls[row]["--asr-args"]) * int(conf["batch_bins"]) * (1 if row.startswith("alternate") else 2)
        for row, conf in rows.items()
    }
    passed["dense-first"] += updates(calls["dense-alone"]["--asr-args"]) * 3000
    assert passed.pop("alternate-double") == 2500 * 3000 * 4
    assert set(passed.values()) == {2500 * 3000 * 2}
    assert calls["dense-first"]["--prune-asr"] == "dense-alone_8.0e-4_1" and calls["dense-first"]["--stage"] == "3"
    for row, conf in rows.items():
        if row == "fixed-masks":
            assert conf["pruning_conf"]["interval"] == 0
        else:
            assert conf["pruning_conf"]["interval"] == 50
            assert conf["pruning_conf"]["end"] == updates(calls[row]["--asr-args"]) * 3 // 5
        distillation = from_mapping(AsrConfig, conf["model_conf"], "")
        assert distillation.distill_weight == {"alternate": 0, "alternate-double": 0, "more-distillation": 0.5}.get(
            row, 0.1
        )
        if distillation.distill_weight:
            after = 0 if row == "dense-first" else updates(calls[row]["--asr-args"]) * 3 // 5
            assert distillation.distill_after == after
        if row != "dense-first":
            assert calls[row]["--prune-tag"] == "pre-both_1"


def test_half_batches_needs_a_length_to_halve(study):
    config = study.folder / "sizes.yaml"
    config.write_text("batch_type: unsorted\nbatch_size: 8\n")
    output = study.run("--asr-config", str(config), "--rows", "supernet half-batches", status=2)
    assert f"{config} has no batch_bins, which half-batches halves: leave that row out of --rows" in output
    assert study.calls() == []


def test_a_table_of_remedies_alone_is_shown(study):
    options = ["--seeds", "1", "--rates", "8.0e-4", "--pretrain-updates", "0", "--jobs", "1"]
    assert study.run(*options, "--rows", "alternate").endswith("rates\nintervals")
    assert not (study.work / "twins.md").exists()
    assert study.run("--pretrain-updates", "0", "--tables") == "rates\nintervals"


def test_remedies_have_a_table_once_one_is_done(study):
    options = ["--seeds", "1", "--rates", "8.0e-4", "--pretrain-updates", "0", "--jobs", "1"]
    study.run(*options, "--rows", "supernet")
    assert not (study.work / "remedies.md").exists()
    study.run(*options, "--rows", "alternate")
    assert (study.work / "remedies.md").read_text() == "rates\nintervals"


def test_what_is_done_is_not_asked_for_again_and_one_row_can_be_alone(study):
    options = ["--seeds", "1 2", "--rates", "8.0e-4 4.0e-4", "--pretrain-updates", "0", "--jobs", "3"]
    study.run(*options, "--rows", "supernet")
    assert set(study.trainings()) == {f"supernet_{r}_{s}" for r in ("8.0e-4", "4.0e-4") for s in (1, 2)}
    output = study.run(*options, "--rows", "supernet scratch dense-alone")
    assert "4 jobs to do, 4 done before" in output and "4 of 4, about 0 s left" in output
    calls = study.trainings()
    assert set(calls) == {f"dense-alone_{r}_{s}" for r in ("8.0e-4", "4.0e-4") for s in (1, 2)}
    assert all("from" in call for call in calls.values())
    output = study.run(*options[:-2], "--updates", "200", status=2)
    assert "has a study with updates 2500" in output and "use another --work-dir" in output
    study.calls()
    study.run("--pretrain-updates", "0", "--tables")
    assert [words[0] for words in study.calls()] == ["studies/choose.py", "-m"]


def test_a_failed_job_does_not_stop_the_others(study):
    options = ["--seeds", "1", "--rates", "8.0e-4", "--pretrain-updates", "0", "--jobs", "1"]
    output = study.run(*options, "--rows", "supernet dense-alone", FAILS="supernet", status=2)
    assert "failed (status 1): supernet 8.0e-4 1" in output and "the stub was asked to fail" in output
    assert "error: 1 of 2 jobs failed: supernet_8.0e-4_1; the same command tries them again" in output
    study.calls()
    assert "1 jobs to do, 1 done before" in study.run(*options, "--rows", "supernet dense-alone")


def test_what_starts_from_a_row_waits_while_another_job_trains_it(study):
    options = ["--seeds", "1", "--rates", "8.0e-4", "--pretrain-updates", "0", "--jobs", "2"]
    study.run(*options, "--rows", "supernet rnnt-supernet", SLOW="asr_supernet")
    tags = [words[words.index("--tag") + 1] for words in study.calls() if "--tag" in words]
    assert tags == ["supernet_8.0e-4_1", "rnnt-supernet_8.0e-4_1"]


def test_a_signal_ends_the_jobs(study):
    options = ["--seeds", "1", "--rates", "8.0e-4", "--pretrain-updates", "0", "--jobs", "2"]
    process = study.start(*options, "--rows", "supernet dense-alone", HANGS="8.0e-4")
    deadline = time.monotonic() + PATIENCE_S
    while len(study.calls_file.read_text().splitlines() if study.calls_file.exists() else ()) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 143 and "stopped by SIGTERM; the same command goes on from here" in output
    left = subprocess.run(["pgrep", "-f", str(study.folder)], capture_output=True, text=True).stdout
    assert left == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--rows", "superset"], "--rows has superset: it must be one of supernet "),
        (["--updates", "30"], "a multiple of 20"),
        (["--resamples", "1999"], "--resamples is '1999': it must be a whole number of at least 2000"),
        (["--asr-config", "none.yaml"], "there is no file none.yaml"),
    ],
)
def test_impossible_options_stop_it_before_any_work(study, options, said):
    assert said in study.run(*options, status=2)
    assert study.calls() == []


@pytest.fixture
def choose():
    spec = importlib.util.spec_from_file_location("choose", CORPUS / "studies" / "choose.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ON_RAMP = 20.0  # a rate of an epoch whose masks are on their ramp, which the model is not


def finished(exp: Path, tag: str, *rates: float) -> None:
    folder = exp / f"asr_{tag}"
    folder.mkdir(parents=True)
    (folder / "results.json").write_text("[]")
    lines = [
        {"epoch": epoch, "phase": phase, "stats": {"ter": ter, "masks_settled": float(ter != ON_RAMP)}}
        for epoch, ter in enumerate(rates, start=1)
        for phase in ("train", "valid")
    ]
    (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_row_counts_with_the_rate_that_is_best_on_valid(choose, tmp_path, capsys):
    finished(tmp_path, "a_8.0e-4_1", ON_RAMP, 50.0, 40.0, 42.0)
    finished(tmp_path, "a_8.0e-4_1.old-20260101-120000", 1.0)  # moved aside by the recipe
    finished(tmp_path, "a_8.0e-4_2", 60.0)
    finished(tmp_path, "a_4.0e-4_1", 49.0)
    finished(tmp_path, "a_4.0e-4_2", 52.0)
    finished(tmp_path, "a_1.6e-3_1", 1.0)  # the best, but of one seed only
    finished(tmp_path, "b-c_8.0e-4_1", 30.0)
    choose.main(["--exp", str(tmp_path), "--rows", "a", "b-c", "later", "--settings", "few", "--out", f"{tmp_path}/t"])
    assert capsys.readouterr().out.splitlines() == [
        f"a={tmp_path}/asr_a_8.0e-4_1,{tmp_path}/asr_a_8.0e-4_2",
        f"b-c={tmp_path}/asr_b-c_8.0e-4_1",
    ]
    lines = (tmp_path / "t_rates.md").read_text().splitlines()
    assert lines[0] == "6 trainings are done (few)." and "Partial: not all of 18." in lines[2]
    assert lines[6] == "| a | 50.50 (seeds 1, 2) | **50.00** (seeds 1, 2) | 1.00 (seed 1) |"
    assert lines[7:] == ["| b-c | not run | **30.00** (seed 1) | not run |", "| later | not run | not run | not run |"]
    (tmp_path / "asr_a_8.0e-4_1" / "history.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match="does not say how well valid was recognised"):
        choose.main(["--exp", str(tmp_path), "--rows", "a", "--settings", "", "--out", f"{tmp_path}/t"])


@pytest.mark.parametrize("file", ["planned.yaml", "remedies.yaml"])
def test_a_plan_is_of_rows_that_the_study_has(file):
    plan = from_mapping(Plan, yaml.safe_load((CORPUS / "studies" / file).read_text()), file)
    script = (CORPUS / "studies" / "twins.sh").read_text()
    rows = {
        row
        for group in ("first", "later", "remedies")
        for row in re.search(rf"^{group}=\(([^)]*)\)$", script, re.M)[1].split()
    }
    assert {name for one in plan.comparisons for name in (one.row, one.against)} <= rows
    assert plan.margin == 1.0
