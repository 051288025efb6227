import os
import signal
from itertools import count

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


@pytest.mark.parametrize("jobs", [1, 2])
def test_work_without_end_is_read_only_a_little_ahead(jobs):
    read = []

    def endless():
        for number in count():
            read.append(number)
            yield [number]

    results = parallel_blocks(sum, endless(), jobs, "adding")
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    results.close()
    assert len(read) < 20


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
