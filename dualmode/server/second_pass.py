"""The dense sub-network behind all streams and uploads: one thread, which takes what waits in batches."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence

from dualmode_runtime.audio.pauses import Piece
from dualmode_runtime.transcript import Result

BATCH = 8  # utterances, of whichever clients, that are recognised together

Recognise = Callable[[Sequence[Piece]], list[Result]]


class Closed(Exception):
    """The server ends before an utterance was recognised."""


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
        self._taken: list[tuple[Piece, asyncio.Future]] = []
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
        """Let a piece wait for its turn; None if too many wait already, or it is closed."""
        with self._changed:
            if self._closed or len(self._waiting) >= self._most:
                self._room.clear()
                return None
            future = self._loop.create_future()
            self._waiting.append((piece, future))
            self._changed.notify()
        return future

    async def result(self, piece: Piece) -> Result:
        """Return a piece's result, also if there has to be room first.

        Raises:
            Closed: there will be none.
        """
        while (future := self.offer(piece)) is None:
            if self._closed:
                raise Closed
            await self._room.wait()
        try:
            await asyncio.wait([future])
        finally:
            future.cancel()  # of a client that has gone; one that is done does not mind
        if future.cancelled():
            raise Closed
        return future.result()

    def close(self) -> None:
        """End the thread when its batch is done; what it has taken, and what still waits, is cancelled at once."""
        with self._changed:
            self._closed = True
            dropped = [future for _, future in (*self._taken, *self._waiting)]
            self._waiting.clear()
            self._changed.notify()
        for future in dropped:
            future.cancel()
        self._room.set()

    def ended(self, seconds: float) -> bool:
        """Return whether the thread of a closed one ends within so long; a batch of a large model may take minutes."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                self._taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH))]
                self._loop.call_soon_threadsafe(self._room.set)
            wanted = [(piece, future) for piece, future in self._taken if not future.cancelled()]
            if not wanted:
                continue
            answers: list[tuple[asyncio.Future, Result | None, Exception | None]]
            try:
                results = self._recognise([piece for piece, _ in wanted])
                answers = [(future, result, None) for (_, future), result in zip(wanted, results, strict=True)]
            except Exception as error:
                answers = [(future, None, error) for _, future in wanted]
            with self._changed:
                if self._closed:  # nobody waits, and the loop may have ended
                    return
                self.batches, self.utterances = self.batches + 1, self.utterances + len(wanted)
                self._loop.call_soon_threadsafe(_answer, answers)


def _answer(answers: list[tuple[asyncio.Future, Result | None, Exception | None]]) -> None:
    for future, result, error in answers:
        if not future.done():
            future.set_exception(error) if error else future.set_result(result)
