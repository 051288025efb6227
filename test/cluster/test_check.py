"""Whether a wrapper takes the jobs of a recipe is known before any work."""

import subprocess
import sys

import pytest

from dualmode.cluster.check import check_wrapper
from dualmode.cluster.slurm import ROOT
from dualmode.errors import UserError

SLURM = ROOT / "tools" / "cluster" / "slurm.pl"


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """A machine with Slurm."""
    (tmp_path / "sbatch").write_text("#!/bin/sh\n")
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def test_what_is_taken(sbatch, tmp_path):
    check_wrapper(f"{SLURM} --mem 4G --num-threads 2")
    (tmp_path / "queue.pl").write_text("#!/bin/sh\n")
    (tmp_path / "queue.pl").chmod(0o755)
    check_wrapper("queue.pl --what ever")  # its options are its own


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"{SLURM} --partition gpu", "slurm.conf has no line for the option partition=gpu"),
        (f"{SLURM} --mem", "--mem needs a value|expected"),
        (f"{SLURM} --config gone.conf", "cannot read gone.conf"),
        ("gone.pl --mem 4G", "there is no program gone.pl"),
        ("'slurm.pl", "it: no closing quotation: 'slurm.pl"),
        (" ", "it names no program"),
    ],
)
def test_what_is_not(sbatch, text, sentence):
    with pytest.raises(UserError, match=sentence):
        check_wrapper(text)


def test_a_machine_without_slurm(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="there is no sbatch on this machine"):
        check_wrapper(f"{SLURM} --mem 4G")


def test_the_command(tmp_path):
    words = [sys.executable, "-m", "dualmode.cluster.check", "gone.pl --mem 4G"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "error: there is no program gone.pl\n")
