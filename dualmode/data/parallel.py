"""Work spread over processes whose result does not depend on how many there are."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from dualmode.errors import UserError
from dualmode.progress import Progress

Item = TypeVar("Item")
Block = TypeVar("Block", bound=Sized)
Result = TypeVar("Result")

# Blocks handed out for each process: enough that none waits, few enough that work without end fits the memory.
_AHEAD = 3


def blocks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Cut ``items`` into runs of ``size``; the last may be shorter.

    >>> list(blocks("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    remaining = iter(items)
    while block := list(islice(remaining, size)):
        yield block


def parallel_blocks(
    function: Callable[[Block], Result],
    work: Iterable[Block],
    jobs: int,
    label: str,
    total: int | None = None,
) -> Iterator[Result]:
    """Yield ``function(block)`` for every block of ``work``, in order, computed by ``jobs`` processes.

    ``work`` is read only a few blocks ahead of what is done, so it may be longer than the memory.

    Args:
        function: importable (a module's function or a partial of one).
        total: items in all blocks together, for the progress; None where nobody knows.

    Raises:
        UserError: ``jobs`` is below 1, a process was killed, or ``function`` raised one.
    """
    if jobs < 1:
        raise UserError(f"--jobs {jobs}: expected at least 1 process")
    state = Progress(total, label)
    if jobs == 1:
        for block in work:
            yield function(block)
            state.advance(len(block))
        state.finish()
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            remaining = iter(work)
            running: deque[tuple[int, Future]] = deque()
            while True:
                for block in islice(remaining, _AHEAD * jobs - len(running)):
                    running.append((len(block), pool.submit(function, block)))
                if not running:
                    break
                items, result = running.popleft()
                yield result.result()
                state.advance(items)
        except BrokenProcessPool:
            raise UserError(f"{label}: a process was killed, perhaps for lack of memory: try fewer --jobs") from None
        finally:
            pool.shutdown(cancel_futures=True)  # on an error nobody waits for the rest
    state.finish()
