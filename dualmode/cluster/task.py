"""One task of a job: its log, its status, and what signals mean to it.

The folder of a job, on a file system that all machines see::

    request.json   what to run
    alive          touched by the wrapper that waits for the job
    status.3       how task 3 ended, written last
"""

import json
import os
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
    Slurm the task is queued again, and goes on when it is started next.
    """
    request = read_request(folder)
    log = Path(request.log_of(task))
    log.parent.mkdir(parents=True, exist_ok=True)
    again = int(os.environ.get("SLURM_RESTART_COUNT", "0")) > 0
    with open(log, "ab" if again else "wb", buffering=0) as out:

        def say(text: str) -> None:
            out.write(f"# {text}\n".encode())

        say(" ".join(request.words_of(task)))
        say(f"Started at {time.strftime('%F %T')} on {socket.gethostname()}")
        status = _watched(request.words_of(task), out, folder / "alive", say)
        if status == REQUEUE and _requeue():
            say(f"Queued again at {time.strftime('%F %T')}")
            return status
        say(f"Finished at {time.strftime('%F %T')} with status {status}")
    with atomic_write(folder / f"status.{task}") as written:
        written.write(f"{status}\n")
    return status


def _watched(words: list[str], out, alive: Path, say) -> int:
    try:
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    except OSError as error:
        say(f"cannot run {words[0]}: {error.strerror}")
        return 127
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, lambda received, _: child.send_signal(received))
    # The clocks of two machines may differ, so only that the time stamp changes is looked at.
    seen, since = None, time.monotonic()
    while True:
        try:
            status = child.wait(POLL_S)
            return status if status >= 0 else 128 - status
        except subprocess.TimeoutExpired:
            pass
        stamp = alive.stat().st_mtime_ns if alive.exists() else None
        if stamp != seen:
            seen, since = stamp, time.monotonic()
        elif time.monotonic() - since > PATIENCE_S:
            say("the command that waits for this job is gone, so it is stopped")
            child.terminate()
            child.wait()
            return GONE


def _requeue() -> bool:
    job = os.environ.get("SLURM_ARRAY_JOB_ID")
    job = f"{job}_{os.environ['SLURM_ARRAY_TASK_ID']}" if job else os.environ.get("SLURM_JOB_ID")
    return job is not None and subprocess.run(["scontrol", "requeue", job], capture_output=True).returncode == 0


if __name__ == "__main__":
    status = run_task(Path(sys.argv[1]), int(sys.argv[2]))
    sys.exit(0 if status == REQUEUE else status)
