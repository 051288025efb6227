"""Two trainings in one folder."""

import multiprocessing
import signal

import pytest

from dualmode.errors import UserError
from dualmode.tasks.alone import alone


def hold(folder, held):
    with alone(folder):
        held.send(True)
        signal.pause()


def test_a_second_training_in_a_folder_is_refused_until_the_first_one_is_gone(tmp_path):
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    first = context.Process(target=hold, args=(tmp_path, theirs), daemon=True)
    first.start()
    assert ours.recv()
    with pytest.raises(UserError, match=f"another training is at work in {tmp_path} .process {first.pid} on "):
        with alone(tmp_path):
            pass
    first.kill()
    first.join()
    with alone(tmp_path):
        pass
