"""A few threads that run the engine for all streams, first come, first served.

The engine lets go of Python's lock, so threads run side by side.  A stream has one piece of work here at a time, of a
second of audio at most: behind it, every other stream that waits has its turn.  What was done is handed back many at a
time, since each hand-over wakes the event loop.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

TOGETHER = 16  # pieces of work that a thread takes and hands back at once

Work = Callable[[], Any]
Done = Callable[[Any, BaseException | None], None]


class EnginePool:
    """Threads for work that does not wait.

    Args:
        threads: how many.
        loop: where what was done is handed back.
    """

    def __init__(self, threads: int, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self._waiting: deque[tuple[Work, Done]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [threading.Thread(target=self._run, name=f"engine-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def run(self, work: Work, done: Done) -> None:
        """Let a thread do ``work``; then ``done(result, None)`` or ``done(None, error)`` is called in the loop."""
        with self._changed:
            self._waiting.append((work, done))
            self._changed.notify()

    async def call(self, work: Work) -> Any:
        """Return what ``work`` returns, from a thread."""
        future = self._loop.create_future()

        def done(result: Any, error: BaseException | None) -> None:
            if not future.cancelled():
                future.set_exception(error) if error else future.set_result(result)

        self.run(work, done)
        return await future

    def close(self) -> None:
        """End the threads when what waits is done."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _take(self) -> list[tuple[Work, Done]]:
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            share = -(-len(self._waiting) // len(self._threads))  # the other threads get theirs
            return [self._waiting.popleft() for _ in range(min(share, TOGETHER))]

    def _run(self) -> None:
        while self._do(self._take()):
            pass

    def _do(self, taken: list[tuple[Work, Done]]) -> bool:
        # A function of its own: a thread that waits must not hold on to the streams that it has heard.
        finished: list[tuple[Done, Any, BaseException | None]] = []
        for work, done in taken:
            try:
                finished.append((done, work(), None))
            except Exception as error:
                finished.append((done, None, error))
        if finished:
            self._loop.call_soon_threadsafe(_hand_back, finished)
        return bool(finished)


def _hand_back(finished: list[tuple[Done, Any, BaseException | None]]) -> None:
    for done, result, error in finished:
        done(result, error)
