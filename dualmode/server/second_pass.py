"""The dense sub-network behind all streams and uploads: one thread, which takes what waits in batches."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence

from dualmode_runtime.audio.pauses import Piece
from dualmode_runtime.transcript import Result

BATCH = 8  # utterances, of whichever clients, that are recognised together

Recognise = Callable[[Sequence[Piece]], list[Result]]


class SecondPass:
    """Recognises whole utterances.

    Args:
        recognise: returns the result of each piece; called in one thread.
        most: utterances that may wait.
        loop: of those who wait for results.

    Attributes:
        batches, utterances: how many were recognised.
        waiting: how many utterances wait.
    """

    def __init__(self, recognise: Recognise, most: int, loop: asyncio.AbstractEventLoop):
        self._recognise, self._most, self._loop = recognise, most, loop
        self._waiting: deque[tuple[Piece, asyncio.Future]] = deque()
        self._changed = threading.Condition()
        self._room = asyncio.Event()
        self._room.set()
        self._closed = False
        self.batches = self.utterances = 0
        self._thread = threading.Thread(target=self._run, name="second-pass", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def offer(self, piece: Piece) -> "asyncio.Future[Result] | None":
        """Let a piece wait for its turn; None if too many wait already."""
        with self._changed:
            if len(self._waiting) >= self._most:
                self._room.clear()
                return None
            future = self._loop.create_future()
            self._waiting.append((piece, future))
            self._changed.notify()
        return future

    async def result(self, piece: Piece) -> Result:
        """Return a piece's result, also if there has to be room first."""
        while (future := self.offer(piece)) is None:
            await self._room.wait()
        return await future

    def close(self) -> None:
        """End the thread; what still waits is cancelled."""
        with self._changed:
            self._closed = True
            dropped = [future for _, future in self._waiting]
            self._waiting.clear()
            self._changed.notify()
        for future in dropped:
            future.cancel()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH))]
            self._loop.call_soon_threadsafe(self._room.set)
            wanted = [(piece, future) for piece, future in taken if not future.cancelled()]
            if not wanted:
                continue
            answers: list[tuple[asyncio.Future, Result | None, Exception | None]]
            try:
                results = self._recognise([piece for piece, _ in wanted])
                answers = [(future, result, None) for (_, future), result in zip(wanted, results, strict=True)]
            except Exception as error:
                answers = [(future, None, error) for _, future in wanted]
            self.batches, self.utterances = self.batches + 1, self.utterances + len(wanted)
            self._loop.call_soon_threadsafe(_answer, answers)


def _answer(answers: list[tuple[asyncio.Future, Result | None, Exception | None]]) -> None:
    for future, result, error in answers:
        if not future.done():
            future.set_exception(error) if error else future.set_result(result)
