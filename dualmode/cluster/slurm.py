"""Tasks on a Slurm cluster: an array job, waited for without bothering the controller.

Each task writes its status to the job's folder, which is looked at every second or so and costs the controller nothing.
Only after a while without news is squeue asked, once, whether the tasks that are missing still exist: one that does not
was lost with its node, or was cancelled.
"""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import dualmode
import dualmode_runtime
from dualmode.cluster.command import Request
from dualmode.cluster.slurm_conf import SlurmConf
from dualmode.cluster.task import read_status
from dualmode.cluster.wrapper import SHOWN, earlier_folders, job_folder, log_tail, main
from dualmode.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
LOOK_S = 1.0  # between two looks at the job's folder
ASK_S = (15.0, 120.0)  # between two questions to the controller: at first, and at most
GRACE_S = 90.0  # for a status to appear here after its task has left the queue: NFS looks once a minute
ANSWER_S = 60.0  # after which a command of Slurm that hangs counts as one that did not answer
CANCEL_S = 600.0  # for a job to leave the queue once it is cancelled
WAIT_S = 600  # for the other processes of a job on several machines, once the first of them has ended
LOST = 137
USUAL = ("", "None", "JobArrayTaskLimit")  # reasons of squeue: the task runs, or --max-jobs-run others do
NO_SBATCH = "there is no sbatch on this machine: submit from one that has Slurm, or use run.pl"
NUMBER = "slurm_job"  # file in a job's folder while its wrapper waits
# Of a job's own variables, what its jobs may have as well: where Slurm is, and what users set.
HANDED_ON = ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT", "SLURM_WAIT")


def run(request: Request) -> Mapping[int, int]:
    """Submit the tasks and wait; return how each ended.

    Raises:
        UserError: an option is unknown to conf/slurm.conf, or Slurm refuses the job.
    """
    flags = flags_of(request.options)
    cancel_orphans(request)
    folder = job_folder(request)
    job = submit(request, flags, folder, request.options.get("max_jobs_run"))
    (folder / NUMBER).write_text(f"{job}\n", encoding="utf-8")
    print(f"# Slurm job {job}: {len(request.tasks)} tasks, logs in {request.log}", file=sys.stderr)

    def stop(number: int, _) -> None:
        if cancel(job):  # else the next run does
            (folder / NUMBER).unlink(missing_ok=True)  # gone if all tasks have ended
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        statuses = wait(request, folder, job)
    except OSError:  # the disk of the job's folder: without signs of life its tasks would end as well, but later
        cancel(job)
        raise
    (folder / NUMBER).unlink()
    say_lost(request, folder)
    return statuses


def flags_of(options: Mapping[str, str]) -> list[str]:
    """Return sbatch's flags for these options; one that the configuration has no line for is a UserError."""
    options = dict(options)
    return SlurmConf.read(Path(options.pop("config", ROOT / "conf" / "slurm.conf"))).flags(options)


def say_lost(request: Request, folder: Path) -> None:
    """Say of tasks that left no status what Slurm wrote of them, such as that they took too much memory."""
    for task in [task for task in request.tasks if read_status(folder, task) is None][:SHOWN]:
        why = "its machine failed, it was killed, such as for its memory, or the disk is full"
        print(f"# task {task} was lost: {why}; Slurm's own words:", file=sys.stderr)
        print(*(f"    {line}" for line in log_tail(folder / f"slurm.{task}.out")), sep="\n", file=sys.stderr)


def cancel_orphans(request: Request) -> None:
    """Cancel jobs with the same logs whose wrapper was killed: two of them would write to the same files."""
    for number in [path for folder in earlier_folders(request) if (path := folder / NUMBER).is_file()]:
        job = number.read_text(encoding="utf-8").strip()
        print(f"# cancelling Slurm job {job}, left over from a run that was killed", file=sys.stderr)
        cancel(job)
        began = time.monotonic()
        while queued(job) != []:  # no answer is no yes
            if time.monotonic() - began > CANCEL_S:
                raise UserError(
                    f"Slurm job {job}, left over from a run that was killed, may still write to {request.log}: "
                    f"squeue did not say within {CANCEL_S:g} s that it is gone; cancel it, then start again"
                )
            time.sleep(LOOK_S)
        number.unlink()


def cancel(job: str) -> bool:
    """Return whether Slurm took the request."""
    try:
        return subprocess.run(["scancel", job], capture_output=True, timeout=ANSWER_S).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def submit(request: Request, flags: Sequence[str], folder: Path, most: str | None) -> str:
    """Return the number of the new job."""
    script = folder / "job.sh"
    number = '"$SLURM_ARRAY_TASK_ID"' if request.variable else str(request.tasks[0])
    roots = [str(Path(package.__file__).parents[1]) for package in (dualmode, dualmode_runtime)]
    paths = os.pathsep.join(filter(None, [*roots, os.environ.get("PYTHONPATH")]))
    script.write_text(
        "#!/usr/bin/env bash\n"
        f"export PYTHONPATH={shlex.quote(paths)}\n"
        # Of several machines, those that wait for one that failed would do so for as long as the job may run.
        f"export SLURM_WAIT=${{SLURM_WAIT:-{WAIT_S}}}\n"
        f"cd {shlex.quote(os.getcwd())} || exit\n"
        f"exec {shlex.quote(sys.executable)} -m dualmode.cluster.task {shlex.quote(str(folder.resolve()))} {number}\n",
        encoding="utf-8",
    )
    # Slurm replaces what follows a per cent sign in a path; two of them are one.
    own = "%a" if request.variable else request.tasks[0]
    name, output = f"--job-name={Path(request.log).stem}", f"--output={str(folder).replace('%', '%%')}/slurm.{own}.out"
    command = ["sbatch", "--parsable", name, output, *flags]
    if request.variable:
        command.append(f"--array={request.tasks[0]}-{request.tasks[-1]}" + (f"%{most}" if most else ""))
    try:
        done = subprocess.run(
            [*command, str(script)],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env=environment_of_job(os.environ),
        )
    except FileNotFoundError:
        raise UserError(NO_SBATCH) from None
    if done.returncode:
        raise UserError(f"sbatch refused the job: {done.stderr.strip()} (command: {shlex.join(command)})")
    return job_number(done.stdout)


def environment_of_job(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a job is given: where a recipe runs in a job itself, not what Slurm says of that one.

    A job would take the number of that one's array, or how often it was queued again, for its own.

    >>> environment_of_job({"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "6", "SLURM_WAIT": "60", "HOME": "/root"})
    {'SLURM_WAIT': '60', 'HOME': '/root'}
    """
    if "SLURM_JOB_ID" not in environment:
        return dict(environment)
    return {name: value for name, value in environment.items() if not name.startswith("SLURM_") or name in HANDED_ON}


def job_number(said: str) -> str:
    """Return the job's number of what ``sbatch --parsable`` said: sites have it say other things as well.

    >>> job_number("Your project has 1200 hours left.\\n4711;cluster\\n")
    '4711'

    Raises:
        UserError: no line, or more than one, is a number.
    """
    numbers = re.findall(r"^([0-9]+)(?:;[^\s;]+)?$", said, re.MULTILINE)
    if len(numbers) != 1:
        raise UserError(f"sbatch did not say the number of the job, but {said.strip()!r}: look for it with squeue")
    return numbers[0]


def wait(request: Request, folder: Path, job: str) -> dict[int, int]:
    """Return how each task ended; say what tasks wait for, each reason once."""
    statuses: dict[int, int] = {}
    news, pause, said = time.monotonic(), ASK_S[0], set(USUAL)
    while missing := [task for task in request.tasks if task not in statuses]:
        (folder / "alive").touch()
        found = {task: status for task in missing if (status := read_status(folder, task)) is not None}
        statuses |= found
        if found:
            news, pause = time.monotonic(), ASK_S[0]
        elif time.monotonic() - news > pause:
            reasons = queued(job)
            if reasons == []:
                return statuses | {task: LOST for task in missing} | late_statuses(folder, missing)
            for reason in sorted(set(reasons or []) - said):
                print(f"# Slurm job {job} waits ({reason})", file=sys.stderr)
                said.add(reason)
            news, pause = time.monotonic(), min(2 * pause, ASK_S[1])
        time.sleep(LOOK_S)
    return statuses


def late_statuses(folder: Path, tasks: Sequence[int]) -> dict[int, int]:
    """Return how tasks ended that are not queued any more; those are missing that left nothing within ``GRACE_S``.

    The job's folder is changed before each look, by which NFS asks its server what there is.
    """
    until = time.monotonic() + GRACE_S
    while True:
        with contextlib.suppress(OSError):  # a disk that is full still says what there is
            (folder / ".changed").touch()
            (folder / ".changed").unlink()
        found = {task: status for task in tasks if (status := read_status(folder, task)) is not None}
        if len(found) == len(tasks) or time.monotonic() >= until:
            return found
        time.sleep(LOOK_S)


def queued(job: str) -> list[str] | None:
    """Return squeue's reason, or nothing, for each line of the job that waits or runs; None where nobody answers."""
    command = ["squeue", "--noheader", "--jobs", job, "--format=%i %r"]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=ANSWER_S)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode == 0:  # a site may have it say other things, too
        return re.findall(rf"^\s*{job}(?:_\S+)?(?:[ \t]+(\S.*?))?\s*$", done.stdout, re.MULTILINE)
    return [] if "Invalid job id" in done.stderr else None


if __name__ == "__main__":
    main(run, sys.argv[1:])
