"""Work spread over processes whose result does not depend on how many there are."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from dualmode.errors import UserError
from dualmode.progress import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")


def blocks(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """Cut ``items`` into runs of ``size``; the last may be shorter.

    >>> blocks("abcde", 2)
    ['ab', 'cd', 'e']
    """
    return [items[start : start + size] for start in range(0, len(items), size)]


def parallel_blocks(
    function: Callable[[Sequence[Item]], Result], work: Sequence[Sequence[Item]], jobs: int, label: str
) -> Iterator[Result]:
    """Yield ``function(block)`` for every block of ``work``, in order, computed by ``jobs`` processes.

    ``function`` must be importable (a module's function or a partial of one).  Progress counts the items in the blocks.

    Raises:
        UserError: ``jobs`` is below 1, a process was killed, or ``function`` raised one.
    """
    if jobs < 1:
        raise UserError(f"--jobs {jobs}: expected at least 1 process")
    state = Progress(sum(len(block) for block in work), label)
    if jobs == 1:
        results = map(function, work)
        yield from _count(results, work, state)
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield from _count(pool.map(function, work), work, state)
        except BrokenProcessPool:
            raise UserError(f"{label}: a process was killed, perhaps for lack of memory: try fewer --jobs") from None
        finally:
            pool.shutdown(cancel_futures=True)  # on an error nobody waits for the rest


def _count(results: Iterator[Result], work: Sequence[Sequence[Item]], state: Progress) -> Iterator[Result]:
    for block, result in zip(work, results, strict=True):
        yield result
        state.advance(len(block))
    state.finish()
