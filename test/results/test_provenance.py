"""Commit, machine and versions of a result."""

import hashlib
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest

import dualmode
from dualmode.errors import UserError
from dualmode.results.provenance import NO_CHECKOUT, cpu_model, git_commit, installed_version, provenance


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (tmp_path / "RESULTS.md").write_text("old\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return package


def test_the_commit_of_a_clean_checkout(checkout):
    assert git_commit(checkout) == git(checkout, "rev-parse", "HEAD")


@pytest.mark.parametrize("changed", ["package/__init__.py", "run.sh"])
def test_changed_and_new_files_are_told(checkout, changed):
    (checkout.parent / changed).write_text("new = 1\n")
    assert git_commit(checkout) == git(checkout, "rev-parse", "HEAD") + " + uncommitted changes"


def test_rewritten_results_are_no_change_of_the_code(checkout):
    (checkout.parent / "RESULTS.md").write_text("new\n")
    (checkout / "wer.png").write_bytes(b"")
    for written in ("docs/benchmarks/device.json", "docs/benchmarks/device.md", "egs/fsdd/studies/results/twins.json"):
        (checkout.parent / written).parent.mkdir(parents=True, exist_ok=True)
        (checkout.parent / written).write_text("new\n")
    assert git_commit(checkout) == git(checkout, "rev-parse", "HEAD")


def test_git_variables_of_a_hook_do_not_mislead(checkout, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert git_commit(checkout) != NO_CHECKOUT


def test_an_ignored_folder_inside_a_checkout_is_not_one(checkout):
    inside = checkout.parent / "venv"
    inside.mkdir()
    (inside / "__init__.py").write_text("")
    assert git_commit(inside) == NO_CHECKOUT


def test_without_git_there_is_no_commit(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git_commit(checkout) == NO_CHECKOUT


def test_cpu_name(tmp_path):
    intel, arm = tmp_path / "intel", tmp_path / "arm"
    intel.write_text("processor\t: 0\nmodel\t\t: 85\nmodel name\t: Some CPU @ 2.00GHz\n")
    arm.write_text("processor\t: 0\nBogoMIPS\t: 50.00\n")
    assert cpu_model(intel) == "Some CPU @ 2.00GHz"
    assert cpu_model(arm) == cpu_model(tmp_path / "missing") != ""


def test_provenance_of_a_run(tmp_path):
    config = tmp_path / "train.yaml"
    config.write_text("encoder: dual_mode\n")
    found = provenance("./run.sh --seed 3", 3, [config])
    assert (found["commands"], found["seed"]) == (["./run.sh --seed 3"], 3)
    assert found["configs"] == [{"path": str(config), "sha256": hashlib.sha256(config.read_bytes()).hexdigest()}]
    assert found["versions"]["dualmode"] == dualmode.__version__  # all that is known of the code outside of a checkout
    assert found["versions"]["python"].startswith(f"{sys.version_info[0]}.{sys.version_info[1]}.")
    assert found["machine"]["cores"] >= 1 and found["machine"]["memory_gib"] > 0
    age = datetime.now(timezone.utc) - datetime.fromisoformat(found["date"])
    assert timedelta(seconds=-1) < age < timedelta(minutes=1)


def test_packages_are_not_imported_for_their_versions():
    code = (
        "import sys\nfrom dualmode.results.provenance import provenance\nprovenance([], None, [])\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'espnet', 'espnet2')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_package_and_a_missing_configuration(tmp_path):
    assert installed_version("no-such-package-of-ours") == "not installed"
    with pytest.raises(UserError, match="no.yaml cannot be read"):
        provenance([], None, [tmp_path / "no.yaml"])
