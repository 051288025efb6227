"""A real Slurm on loopback with two nodes, started and stopped by the tests, in a folder of its own."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo", "srun")
NODES, CPUS = 2, 4
CONF = """
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
SlurmctldPort={port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=2
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(count: int) -> int:
    """Return a port that is free together with the ``count - 1`` after it."""
    for first in range(17000, 30000, 50):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
    raise RuntimeError("no free ports")


class Cluster:
    """What the tests ask of it."""

    def __init__(self, environment: dict):
        self.environment = environment
        self.started: list[subprocess.Popen] = []

    def start(self, *words, program=(ROOT / "tools/cluster/slurm.pl",), **settings) -> subprocess.Popen:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen([*program, *map(str, words)], env=self.environment, **pipes, **settings)
        self.started.append(process)
        return process

    def run(self, *words, **settings) -> subprocess.CompletedProcess:
        process = self.start(*words, **settings)
        out, err = process.communicate(timeout=600)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def ask(self, *words: str) -> str:
        return subprocess.run(words, env=self.environment, capture_output=True, text=True, check=True).stdout

    def wait_until(self, condition, seconds: float = 240) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.2)

    def jobs(self) -> list[list[str]]:
        """Return number and state of every task that waits or runs."""
        return [line.split() for line in self.ask("squeue", "--noheader", "--array", "--format=%i %t").splitlines()]

    def clear(self) -> None:
        """End what a test has left, so that one that fails takes no other with it."""
        for process in self.started:
            process.kill()
            process.communicate()
        self.started.clear()
        for job in {job.split("_")[0] for job, _ in self.jobs()}:
            self.ask("scancel", job)
        self.wait_until(lambda: self.jobs() == [])


@pytest.fixture
def cluster(daemons):
    yield daemons
    daemons.clear()


@pytest.fixture(scope="session")
def daemons(tmp_path_factory):
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"Slurm is not installed (no {missing[0]}; Debian package slurm-wlm)")
    folder = tmp_path_factory.mktemp("slurm")
    port = free_ports(NODES + 1)
    (folder / "state").mkdir()
    nodes = ""
    for number in range(1, NODES + 1):
        (folder / "spool" / f"node{number}").mkdir(parents=True)
        where = f"NodeHostname=localhost NodeAddr=127.0.0.1 Port={port + number}"
        nodes += f"NodeName=node{number} {where} CPUs={CPUS} RealMemory=2000\n"
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    text = CONF.format(user=user, port=port, folder=folder)
    head, partition = text.rsplit("PartitionName", 1)
    (folder / "slurm.conf").write_text(f"{head}{nodes}PartitionName{partition}")
    # The wrappers run "python"; the tests' own is the one that has everything.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {
        "SLURM_CONF": str(folder / "slurm.conf"),
        "PATH": path,
        "PYTHONPATH": f"{ROOT}:{ROOT}/runtime",
    }
    environment["OMP_NUM_THREADS"] = "1"
    daemons = [["slurmctld", "-D", "-c"], *(["slurmd", "-D", "-N", f"node{n}"] for n in range(1, NODES + 1))]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = [subprocess.Popen(daemon, env=environment, **quiet) for daemon in daemons]
    try:
        cluster = Cluster(environment)

        def idle() -> bool:
            done = subprocess.run(["sinfo", "-h", "-o", "%D %T"], env=environment, capture_output=True, text=True)
            return done.stdout.split() == [str(NODES), "idle"]

        cluster.wait_until(idle)
        yield cluster
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
