"""What both wrappers share: the job's folder, its result, and the error that names the task and shows its log."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dualmode.cluster.command import Request, parse
from dualmode.cluster.task import write_request
from dualmode.errors import UserError
from dualmode_runtime.cli import describe

SHOWN, TAIL = 3, 10  # failed tasks, and lines of each log


def job_folder(request: Request) -> Path:
    """Make the folder of a new job beside its logs."""
    log = Path(request.log)
    folder = log.parent / "jobs" / f"{log.stem}.{time.strftime('%Y%m%d-%H%M%S')}.{os.getpid()}"
    write_request(folder, request)
    return folder


def earlier_folders(request: Request) -> list[Path]:
    """Return what :func:`job_folder` made for the same logs, the oldest first."""
    log = Path(request.log)
    return sorted(folder for folder in (log.parent / "jobs").glob("*.*.*") if folder.name.rsplit(".", 2)[0] == log.stem)


def failures(request: Request, statuses: Mapping[int, int]) -> list[str]:
    """Return what to say of the tasks that failed; nothing if none did."""
    failed = [task for task in request.tasks if statuses[task] != 0]
    if not failed:
        return []
    lines = [f"{len(failed)} / {len(request.tasks)} failed, log is in {request.log}"]
    for task in failed[:SHOWN]:
        lines.append(f"task {task} ended with status {statuses[task]}; the end of {request.log_of(task)}:")
        lines += [f"    {line}" for line in log_tail(Path(request.log_of(task)))]
    if len(failed) > SHOWN:
        lines.append(f"others that failed: {', '.join(map(str, failed[SHOWN:]))}")
    return lines


def log_tail(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:]
    except OSError as error:
        return [f"(no log: {error.strerror})"]


def main(run: Callable[[Request], Mapping[int, int]], words: Sequence[str]) -> None:
    """Run the request in ``words`` and end this process: 0 if every task did well, 1 if not, 2 if none can be run."""
    try:
        request = parse(words)
        lines = failures(request, run(request))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"error: {describe(error)}", file=sys.stderr)
        sys.exit(2)
    for line in lines:
        print(line, file=sys.stderr)
    sys.exit(1 if lines else 0)
