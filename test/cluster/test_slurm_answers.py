"""What Slurm's commands answer at sites that are not as quiet as ours: programs of that name that say other things."""

import pytest

from dualmode.cluster import slurm
from dualmode.cluster.command import Request
from dualmode.errors import UserError


@pytest.fixture
def says(tmp_path, monkeypatch):
    """``says("squeue", "script")``: from now on, squeue is this shell script."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def write(program: str, script: str) -> None:
        path = tmp_path / program
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return write


@pytest.mark.parametrize(
    "script, queued",
    [
        ("echo 4711", True),
        ("echo ' 4711_3'", True),
        ("echo '4711_[5-9%2]'", True),
        ("echo 'Welcome, 4711 jobs are waiting'", False),
        ("echo 47110", False),
        ("true", False),
        ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", False),
        ("echo 'Unable to contact slurm controller' >&2; exit 1", None),
    ],
)
def test_squeue(says, script, queued):
    says("squeue", script)
    assert slurm.still_queued("4711") is queued


def test_a_squeue_that_hangs_has_not_answered(says, monkeypatch):
    monkeypatch.setattr(slurm, "ANSWER_S", 0.2)
    says("squeue", "exec sleep 60")
    assert slurm.still_queued("4711") is None


def test_a_job_of_before_that_may_still_write_is_not_run_beside(says, monkeypatch, tmp_path):
    monkeypatch.setattr(slurm, "CANCEL_S", 0.1)
    monkeypatch.setattr(slurm, "LOOK_S", 0.05)
    monkeypatch.setattr(slurm, "earlier_folders", lambda request: [tmp_path])
    (tmp_path / slurm.NUMBER).write_text("4711\n")
    says("scancel", "true")
    says("squeue", "exit 1")
    with pytest.raises(UserError, match="job 4711, left over .* squeue did not say"):
        slurm.cancel_orphans(Request("a.log", ("true",)))
    assert (tmp_path / slurm.NUMBER).exists()
    says("squeue", "true")
    slurm.cancel_orphans(Request("a.log", ("true",)))
    assert not (tmp_path / slurm.NUMBER).exists()


def test_per_cent_signs_in_a_folder_s_name_are_meant_as_they_are(says, tmp_path):
    says("sbatch", f'printf "%s\\n" "$@" > {tmp_path}/words; echo 12')
    folder = tmp_path / "100%j [a b]"
    folder.mkdir()
    assert slurm.submit(Request("a.log", ("true",)), [], folder, None) == "12"
    words = (tmp_path / "words").read_text().splitlines()
    assert f"--output={tmp_path}/100%%j [a b]/slurm.%a.out" in words and str(folder / "job.sh") in words
