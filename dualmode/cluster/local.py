"""Tasks on this machine, as many at a time as --max-jobs-run says, or as there are cores."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from dualmode.cluster.command import Request
from dualmode.cluster.task import read_status
from dualmode.cluster.wrapper import job_folder, main
from dualmode.errors import UserError


def run(request: Request) -> Mapping[int, int]:
    """Run all tasks; return how each ended.

    Raises:
        UserError: --max-jobs-run is no number of at least 1.
    """
    most = request.options.get("max_jobs_run", str(os.cpu_count()))
    if not most.isdecimal() or int(most) < 1:
        raise UserError(f"--max-jobs-run is {most!r}: it must be a whole number of at least 1")
    folder, waiting = job_folder(request), list(request.tasks)
    running: dict[int, subprocess.Popen] = {}
    statuses: dict[int, int] = {}

    def stop(number: int, _) -> None:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    while waiting or running:
        while waiting and len(running) < int(most):
            task = waiting.pop(0)
            running[task] = subprocess.Popen([sys.executable, "-m", "dualmode.cluster.task", folder, str(task)])
        for task, process in list(running.items()):
            if process.poll() is not None:
                status = read_status(folder, task)
                statuses[task] = process.returncode if status is None else status
                del running[task]
        Path(folder / "alive").touch()
        time.sleep(0.05)
    return statuses


if __name__ == "__main__":
    main(run, sys.argv[1:])
