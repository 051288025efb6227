import os
import signal

import pytest

from dualmode.data.parallel import blocks, parallel_blocks
from dualmode.errors import UserError


def kill_worker(block):
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(block):
    raise UserError(f"cannot use {block[0]}")


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_order(jobs):
    assert list(parallel_blocks(sum, blocks(range(10), 4), jobs, "adding")) == [6, 22, 17]


def test_no_work_is_fine():
    assert list(parallel_blocks(sum, blocks([], 4), 1, "adding")) == []


@pytest.mark.parametrize(("function", "says"), [(kill_worker, "a process was killed"), (refuse, "cannot use 1")])
def test_failures_in_workers_are_one_sentence(monkeypatch, function, says):
    # Spawned workers import the function by its module's name.
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    import test_parallel

    with pytest.raises(UserError, match=says):
        list(parallel_blocks(getattr(test_parallel, function.__name__), [[1], [2]], 2, "failing"))


def test_no_process_is_refused():
    with pytest.raises(UserError, match="--jobs 0"):
        list(parallel_blocks(sum, [[1]], 0, "adding"))
