"""Jobs on this machine."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dualmode.cluster import task
from dualmode.cluster.command import Request

ROOT = Path(__file__).resolve().parents[2]
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def start(folder, *words) -> subprocess.Popen:
    command = [ROOT / "tools/cluster/run.pl", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=os.environ | {"PATH": PATH}, **pipes)


def run(folder, *words) -> tuple[int, str]:
    process = start(folder, *words)
    _, err = process.communicate(timeout=60)
    return process.returncode, err


def test_all_tasks_run_and_what_failed_is_named(tmp_path):
    words = ["JOB=1:3", "log/a b.JOB.log", "bash", "-c", "echo 'said  JOB'; exit $((JOB == 2 ? 3 : 0))"]
    status, err = run(tmp_path, "--max-jobs-run", 2, *words)
    assert status == 1 and "1 / 3 failed, log is in log/a b.JOB.log" in err
    assert "task 2 ended with status 3; the end of log/a b.2.log:" in err and "    said  2" in err
    lines = (tmp_path / "log/a b.1.log").read_text().splitlines()
    assert lines[2] == "said  1" and lines[3].endswith("with status 0")


def test_no_more_than_asked_for_at_a_time(tmp_path):
    words = "echo + >> $0; sleep 0.4; echo - >> $0"
    status, _ = run(tmp_path, "--max-jobs-run", 1, "JOB=1:2", "JOB.log", "bash", "-c", words, tmp_path / "order")
    assert status == 0 and (tmp_path / "order").read_text().split() == ["+", "-", "+", "-"]


def test_words_reach_the_command_as_they_are(tmp_path):
    status, _ = run(tmp_path, "x.log", "printf", "%s|", "a b", "$HOME", "`id`", ";")
    assert status == 0 and "a b|$HOME|`id`|;|" in (tmp_path / "x.log").read_text()


def test_mistakes_are_one_sentence(tmp_path):
    assert run(tmp_path, "x.log") == (2, "error: expected [--option value]... [JOB=1:8] LOG COMMAND...\n")
    assert run(tmp_path, "--max-jobs-run", "0", "x.log", "true")[0] == 2
    (tmp_path / "file").touch()
    status, err = run(tmp_path, "file/x.log", "true")
    assert status == 2 and err.startswith("error: file/jobs") and err.endswith(": Not a directory\n"), err
    status, err = run(tmp_path, "x.log", "no-such-program")
    assert status == 1 and "cannot run no-such-program: No such file" in err and "status 127" in err


def test_stopping_the_wrapper_stops_its_tasks(tmp_path):
    process = start(tmp_path, "x.log", "bash", "-c", "echo $$ > pid; exec sleep 100")
    pid = tmp_path / "pid"
    deadline = time.monotonic() + 60
    while not (pid.exists() and pid.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    process.communicate()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.fixture
def lonely(tmp_path, monkeypatch):
    """Return a job's folder whose wrapper is gone for good after a moment."""
    monkeypatch.setattr(task, "PATIENCE_S", 0.3)
    monkeypatch.setattr(task, "POLL_S", 0.1)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # the handlers are for a process of its own
    task.write_request(tmp_path / "job", Request(str(tmp_path / "x.log"), ("sleep", "100")))
    return tmp_path / "job"


def test_a_task_without_its_wrapper_ends(lonely):
    timer = threading.Timer(0.15, os.utime, [lonely / "alive", (1, 1)])
    timer.start()
    assert task.run_task(lonely, 1) == task.read_status(lonely, 1) == task.GONE
    assert "is gone, so it is stopped" in (lonely.parent / "x.log").read_text()


def test_a_task_that_starts_after_its_wrapper_is_gone_writes_nothing(lonely):
    """Such as one that waited in the queue: its log and its outputs are another's by now."""
    (lonely.parent / "x.log").write_text("of another run\n")
    assert task.run_task(lonely, 1) == task.GONE
    assert (lonely.parent / "x.log").read_text() == "of another run\n"


def test_a_signal_while_the_command_starts_reaches_it(tmp_path, monkeypatch):
    """A job that is cancelled in that moment must not leave its command behind."""
    handlers = {number: signal.getsignal(number) for number in task.RECEIVED}
    start = subprocess.Popen

    def popen(*words, **pipes):
        signal.raise_signal(signal.SIGUSR1)
        return start(*words, **pipes)

    monkeypatch.setattr(task.subprocess, "Popen", popen)
    task.write_request(tmp_path / "job", Request(str(tmp_path / "x.log"), ("sleep", "100")))
    threading.Timer(0.1, os.utime, [tmp_path / "job/alive", (1, 1)]).start()
    try:
        assert task.run_task(tmp_path / "job", 1) == 128 + signal.SIGUSR1
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert "SIGUSR1 at " in (tmp_path / "x.log").read_text()
