"""Two trainings in one folder."""

import argparse
import multiprocessing
import signal

import pytest

from dualmode.errors import UserError
from dualmode.tasks.alone import alone, check_alone, is_first


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
    with pytest.raises(UserError, match="another training is at work"):
        check_alone(settings(None), tmp_path)
    check_alone(settings(1), tmp_path)  # another process of the first one
    check_alone(settings(None), tmp_path / "new")
    first.kill()
    first.join()
    check_alone(settings(None), tmp_path)
    with alone(tmp_path):
        pass


def settings(rank: int | None) -> argparse.Namespace:
    return argparse.Namespace(dist_rank=rank, dist_launcher=None)


@pytest.mark.parametrize("number", [0, 1])
def test_of_processes_that_srun_starts_one_is_the_first(number, monkeypatch):
    """Their options do not say which they are."""
    monkeypatch.setenv("SLURM_STEP_NUM_NODES", "2")
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setenv("SLURM_STEP_NODELIST", "node[1-2]")
    monkeypatch.setenv("SLURM_PROCID", str(number))
    args = argparse.Namespace(distributed=True, dist_rank=None, dist_launcher="slurm")
    assert is_first(args) is (number == 0)


@pytest.mark.parametrize(("distributed", "rank", "first"), [(False, None, True), (True, 0, True), (True, 2, False)])
def test_the_first_of_the_processes_that_a_training_starts_itself(distributed, rank, first):
    assert is_first(argparse.Namespace(distributed=distributed, dist_rank=rank, dist_launcher=None)) is first
