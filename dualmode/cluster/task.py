"""One task of a job: its log, its status, and what signals mean to it.

The folder of a job, on a file system that all machines see::

    request.json   what to run
    alive          touched by the wrapper that waits for the job; no task starts before it is
    status.3       how task 3 ended, written last
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dualmode.cluster.command import Request
from dualmode_runtime.files import atomic_write, write_json

REQUEUE = 75  # of a command that has saved its state and wants to go on later (EX_TEMPFAIL of sysexits.h)
GONE = 143  # of a task whose wrapper is gone
POLL_S = 1.0
PATIENCE_S = 300.0  # without a sign of life of the wrapper
ANSWER_S = 20.0  # for scontrol: a job that is told to stop is killed half a minute later
RECEIVED = {
    signal.SIGTERM: "stop",
    signal.SIGINT: "stop",
    signal.SIGUSR1: "the time of the job is nearly up",
}


def write_request(folder: Path, request: Request) -> None:
    folder.mkdir(parents=True)
    write_json(folder / "request.json", asdict(request))
    (folder / "alive").touch()


def read_request(folder: Path) -> Request:
    fields: dict[str, Any] = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    fields |= {key: tuple(value) for key, value in fields.items() if isinstance(value, list)}
    return Request(**fields)


def read_status(folder: Path, task: int) -> int | None:
    """Return how the task ended, or None while it has not."""
    try:
        return int((folder / f"status.{task}").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def run_task(folder: Path, task: int) -> int:
    """Run a task and return its status, which is also written, unless the task is to be started again.

    SIGTERM, SIGINT and SIGUSR1 are passed on.  A command that then ends with status 75 has saved its state: under
    Slurm the task is queued again, and goes on when it is started next.  So it is, whatever its status, if Slurm itself
    has queued it again: the node failed, or went to a job that comes first.  A job that was cancelled stays so.
    """
    alive = Signs(folder / "alive")
    if not alive.come():  # a job left over from a wrapper that was killed must not write beside what came after it
        return _written(folder, task, GONE)
    request = read_request(folder)
    log = Path(request.log_of(task))
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab" if restarts() else "wb", buffering=0) as out:

        def say(text: str) -> None:
            out.write(f"# {text}\n".encode())

        say(" ".join(request.words_of(task)))
        say(f"Started at {time.strftime('%F %T')} on {socket.gethostname()}")
        status = _watched(request.words_of(task), out, alive, say)
        fate = _fate() if status else None
        if fate == "queued again" or (status == REQUEUE and fate != "cancelled" and _requeue()):
            say(f"Queued again at {time.strftime('%F %T')}")
            return REQUEUE
        if fate == "cancelled":
            say("the job was cancelled")
            status = GONE
        say(f"Finished at {time.strftime('%F %T')} with status {status}")
    return _written(folder, task, status)


def _written(folder: Path, task: int, status: int) -> int:
    with atomic_write(folder / f"status.{task}") as written:
        written.write(f"{status}\n")
    return status


class Signs:
    """The wrapper's signs of life: a file that it touches.

    The clocks of two machines may differ, so only that the time stamp changes is looked at.
    """

    def __init__(self, path: Path):
        self.path = path
        self.seen, self.since = self._stamp(), time.monotonic()

    def _stamp(self) -> int | None:
        return self.path.stat().st_mtime_ns if self.path.exists() else None

    def lacking(self) -> bool:
        """Return whether there has been none for too long."""
        if (stamp := self._stamp()) != self.seen:
            self.seen, self.since = stamp, time.monotonic()
        return time.monotonic() - self.since > PATIENCE_S

    def come(self) -> bool:
        """Wait for the first; return whether there was one."""
        first = self.seen
        while not self.lacking():
            if self.seen != first:
                return True
            time.sleep(POLL_S / 10)
        return False


def _watched(words: list[str], out, alive: Signs, say) -> int:
    child: subprocess.Popen | None = None
    early: list[int] = []

    def hand_on(number: int, _) -> None:
        say(f"{signal.Signals(number).name} at {time.strftime('%F %T')}: {RECEIVED[signal.Signals(number)]}")
        if child is None:
            early.append(number)
        else:
            child.send_signal(number)

    for number in RECEIVED:  # before there is a child: a signal in between would end this process and leave it alone
        signal.signal(number, hand_on)
    try:
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    except OSError as error:
        say(f"cannot run {words[0]}: {error.strerror}")
        return 127
    for received in early:
        child.send_signal(received)
    while True:
        try:
            status = child.wait(POLL_S)
            return status if status >= 0 else 128 - status
        except subprocess.TimeoutExpired:
            pass
        if alive.lacking():
            say("the command that waits for this job is gone, so it is stopped")
            child.terminate()
            child.wait()
            return GONE


def _job() -> str | None:
    job = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{job}_{os.environ['SLURM_ARRAY_TASK_ID']}" if job else os.environ.get("SLURM_JOB_ID")


def _fate() -> str | None:
    """Return what Slurm has done with this job meanwhile: "queued again", "cancelled", or None of both."""
    if (job := _job()) is None:
        return None
    command = ["scontrol", "show", "--oneliner", "job", job]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=ANSWER_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    fields = dict(re.findall(r"\b(JobState|Reason|Restarts)=(\S+)", done.stdout))
    if int(fields.get("Restarts", 0)) > restarts():
        return "queued again"
    # A job that ends is COMPLETING whatever ends it, but where it is the time that is up there is a reason.
    ending = fields.get("JobState") in ("COMPLETING", "CANCELLED") and fields.get("Reason") != "TimeLimit"
    return "cancelled" if ending else None


def restarts() -> int:
    """Return how often Slurm has started this job before."""
    return int(os.environ.get("SLURM_RESTART_COUNT", "0"))


def _requeue() -> bool:
    job = _job()
    return job is not None and subprocess.run(["scontrol", "requeue", job], capture_output=True).returncode == 0


if __name__ == "__main__":
    status = run_task(Path(sys.argv[1]), int(sys.argv[2]))
    sys.exit(0 if status == REQUEUE else status)
