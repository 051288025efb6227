"""What a training does that is told to stop before its first update; later ones: test_resume."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from torch.multiprocessing.spawn import ProcessExitedException

from dualmode.cluster.task import REQUEUE
from dualmode.errors import UserError
from dualmode.tasks import launch

PROGRAM = """
import os, time
from dualmode.tasks.preemption import pass_on
pass_on()
os.kill(os.getpid(), {})
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_before_the_training_ends_it_to_be_queued_again(number):
    words = [sys.executable, "-c", PROGRAM.format(int(number))]
    assert subprocess.run(words, stdout=subprocess.DEVNULL, timeout=120).returncode == REQUEUE


@pytest.mark.parametrize(
    ("code", "raised"),
    [(REQUEUE, SystemExit), (-signal.SIGTERM, SystemExit), (-signal.SIGUSR1, SystemExit), (-signal.SIGKILL, UserError)],
)
def test_a_training_process_that_a_signal_met_before_it_trained_is_queued_again(tmp_path, monkeypatch, code, raised):
    def main(cmd):
        raise ProcessExitedException("ended", error_index=0, error_pid=os.getpid(), exit_code=code)

    task = SimpleNamespace(required_data_names=lambda: ("speech",), main=main)
    for name in ("pool", "check_lists", "data_arguments"):
        monkeypatch.setattr(launch, name, lambda *_: ())
    settings = SimpleNamespace(seed=0, encoder_conf={}, branch_conf={}, dist_rank=None, dist_launcher=None)
    monkeypatch.setattr(launch, "settings_of", lambda *_: settings)
    monkeypatch.setattr(launch, "pass_on", lambda: None)
    with pytest.raises(raised) as info:
        launch.train(task, tmp_path / "x.yaml", [], tmp_path, tmp_path, [])
    assert raised is UserError or info.value.code == REQUEUE
