"""What Slurm's commands answer at sites that are not as quiet as ours: programs of that name that say other things."""

import subprocess
import sys
import time

import pytest

from dualmode.cluster import slurm, wrapper
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
    "script, reasons",
    [
        ("echo 4711 None", ["None"]),
        ("echo ' 4711_3 Priority'", ["Priority"]),
        ("echo 4711_1; echo 47110_2 Priority; echo 4711_3 Resources", ["", "Resources"]),  # of a site's own squeue
        ("echo '4711_[5-9%2] JobArrayTaskLimit'; echo '4711_4 Nodes required for job are DOWN, DRAINED'",
         ["JobArrayTaskLimit", "Nodes required for job are DOWN, DRAINED"]),
        ("echo 'Welcome, 4711 jobs are waiting'", []),
        ("echo 47110 None", []),
        ("true", []),
        ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", []),
        ("echo 'Unable to contact slurm controller' >&2; exit 1", None),
    ],
)  # fmt: skip
def test_squeue(says, script, reasons):
    says("squeue", script)
    assert slurm.queued("4711") == reasons


def test_a_squeue_that_hangs_has_not_answered(says, monkeypatch):
    monkeypatch.setattr(slurm, "ANSWER_S", 0.2)
    says("squeue", "exec sleep 60")
    assert slurm.queued("4711") is None


def test_why_a_job_waits_is_said_once(says, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(slurm, "ASK_S", (0.05, 0.05))
    monkeypatch.setattr(slurm, "LOOK_S", 0.01)
    monkeypatch.setattr(slurm, "GRACE_S", 0.0)
    says("squeue", f"echo >> {tmp_path}/asked; [ $(wc -l < {tmp_path}/asked) -gt 3 ] || echo 4711_1 PartitionTimeLimit")
    request = Request("a.log", ("true",))
    assert slurm.wait(request, tmp_path, "4711") == {1: slurm.LOST}
    assert capsys.readouterr().err == "# Slurm job 4711 waits (PartitionTimeLimit)\n"


def test_a_status_that_the_file_system_shows_late_counts(says, monkeypatch, tmp_path):
    """As NFS does, until the folder changes."""
    monkeypatch.setattr(slurm, "ASK_S", (0.05, 0.05))
    monkeypatch.setattr(slurm, "LOOK_S", 0.01)
    monkeypatch.setattr(slurm, "GRACE_S", 60.0)
    says("squeue", "true")
    before, shown = tmp_path.stat().st_mtime_ns, iter([False] * 9)

    def read(folder, task):
        changed = tmp_path.stat().st_mtime_ns != before
        return {1: 0, 2: 3}[task] if changed and next(shown, True) else None

    monkeypatch.setattr(slurm, "read_status", read)
    (tmp_path / "alive").touch()
    before = tmp_path.stat().st_mtime_ns
    assert slurm.wait(Request("JOB.log", ("true",), "JOB", (1, 2)), tmp_path, "4711") == {1: 0, 2: 3}


def test_a_disk_that_fails_while_a_job_is_waited_for_cancels_it(says, monkeypatch, tmp_path, capsys):
    says("sbatch", "echo 4711")
    says("scancel", f'echo "$@" > {tmp_path}/cancelled')

    def wait(*_):
        raise OSError(5, "Input/output error", "alive")

    monkeypatch.setattr(slurm, "wait", wait)
    with pytest.raises(SystemExit) as ended:
        wrapper.main(slurm.run, [str(tmp_path / "x.log"), "true"])
    assert ended.value.code == 2 and capsys.readouterr().err.endswith("error: alive: Input/output error\n")
    assert (tmp_path / "cancelled").read_text() == "4711\n"


def test_a_job_is_not_given_what_slurm_says_of_the_job_that_submits_it(says, monkeypatch, tmp_path):
    of_outer = {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "6", "SLURM_ARRAY_TASK_ID": "1", "SLURM_RESTART_COUNT": "2"}
    for name, value in (of_outer | {"SLURM_CONF": "a.conf", "SBATCH_ACCOUNT": "b"}).items():
        monkeypatch.setenv(name, value)
    says("sbatch", f"env > {tmp_path}/env; echo 12")
    slurm.submit(Request("a.log", ("true",)), [], tmp_path, None)
    given = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines() if "=" in line)
    assert {name for name in given if name.startswith("SLURM_")} == {"SLURM_CONF"} and given["SBATCH_ACCOUNT"] == "b"


def test_what_slurm_says_of_a_lost_task_is_shown(tmp_path, capsys):
    (tmp_path / "slurm.2.out").write_text("slurmstepd: error: Detected 1 oom-kill event(s)\n")
    (tmp_path / "status.1").write_text("0\n")
    slurm.say_lost(Request("JOB.log", ("true",), "JOB", (1, 2)), tmp_path)
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("# task 2 was lost: ") and said[1:] == [
        "    slurmstepd: error: Detected 1 oom-kill event(s)"
    ]


@pytest.mark.parametrize("fails", [True, False])
def test_a_job_that_could_not_be_cancelled_is_left_to_the_next_run(says, tmp_path, fails):
    says("sbatch", "echo 4711")
    says("scancel", f"exit {int(fails)}")
    says("squeue", "echo 4711 None")
    script = "import sys; from dualmode.cluster import slurm, wrapper; wrapper.main(slurm.run, sys.argv[1:])"
    words = [sys.executable, "-c", script, str(tmp_path / "x.log"), "true"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.readline().startswith("# Slurm job 4711")
        time.sleep(0.5)
        process.terminate()
    assert process.returncode == 143
    assert len(list(tmp_path.glob(f"jobs/*/{slurm.NUMBER}"))) == fails


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
    assert f"--output={tmp_path}/100%%j [a b]/slurm.1.out" in words and str(folder / "job.sh") in words
