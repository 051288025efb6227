"""A client's stream: from its messages to the engine, and from the engine to its messages.

::

    messages -> inbox --a second at most--> EnginePool: Hearing -> outbox -> messages
      |  nothing is read while the inbox or      |  Final, with audio           ^
      |  the outbox is full                      `--> SecondPass: later --------'
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from dualmode.errors import UserError
from dualmode.server.hearing import BadSamples, Final, Hearing, Partial
from dualmode.server.limits import Limits
from dualmode.server.metrics import Metrics
from dualmode.server.pool import EnginePool
from dualmode.server.protocol import Hello, message
from dualmode.server.second_pass import SecondPass
from dualmode_runtime.audio.pauses import Piece

SLICE_MS = 1000  # audio that a stream may have heard before others have their turn
OUTBOX = 64  # messages that may wait for the client before its audio has to
LOG = logging.getLogger("uvicorn.error")  # where faults of uploads are, too


class Stream:
    """One client.

    Args:
        hearing: its audio in the engine.
        hello: its first message.
        send: sends a text message.
        pool, second_pass, limits, metrics: of the server; ``second_pass`` is None where there is none.

    Attributes:
        over: why nothing more is heard, once there is a reason: "finished", "idle", "limit", "stopping", "error", or,
            of a client that is told no more, "gone".
        error: what went wrong, in a sentence.
        fed_at: when audio came last, by the event loop's clock.
    """

    def __init__(
        self,
        hearing: Hearing,
        hello: Hello,
        send: Callable[[str], Awaitable[None]],
        pool: EnginePool,
        second_pass: SecondPass | None,
        limits: Limits,
        metrics: Metrics,
    ):
        self._hearing, self._hello, self._send = hearing, hello, send
        self._pool, self._second_pass, self._limits, self._metrics = pool, second_pass, limits, metrics
        self._loop = asyncio.get_running_loop()
        self.over: asyncio.Future[str] = self._loop.create_future()
        self.error = ""
        self.fed_at = self._loop.time()
        self._inbox: list[bytes] = []
        self._waiting = 0  # bytes in it
        self._slice = int(hello.bytes_per_ms * SLICE_MS)
        self._most = int(hello.bytes_per_ms * limits.max_backlog_ms)
        self._wanted = 0  # bytes that are worth a hand-over
        self._busy = self._broken = self._feeding = False
        self._changed = asyncio.Event()  # something was heard, or sent
        self._outbox: deque[tuple[str, str]] = deque()  # (kind, message)
        self._to_send = asyncio.Event()
        self._sending = False
        self._second: set[asyncio.Task] = set()

    def end(self, reason: str, error: str = "") -> None:
        """Hear nothing more; the first reason counts, and an error behind it."""
        if error and not self.error:
            self.error = error
        if not self.over.done():
            self.over.set_result(reason)

    @property
    def reason(self) -> str:
        """Why it is over."""
        return "error" if self.error else self.over.result()

    def take(self, data: bytes) -> bool:
        """Take audio; False, and nothing is taken, while there is too much of it or too much to tell, or no more."""
        return not self._feeding and self._take(data)

    def _take(self, data: bytes) -> bool:
        if self._full or self.over.done():
            return False
        self.fed_at = self._loop.time()
        if not data:
            return True  # no bytes: no limit would ever stop them from being kept
        self._inbox.append(data)
        self._waiting += len(data)
        if self._waiting >= self._wanted and not self._busy:
            self._go_on()
        return True

    async def feed(self, data: bytes) -> None:
        """Take audio; waits while there is too much of it, or the client does not read what it is told."""
        self._feeding = True  # what comes meanwhile is behind this
        while not self.over.done() and not self._take(data):
            await self._change()
        self._feeding = False

    @property
    def _full(self) -> bool:
        return self._waiting > self._most or len(self._outbox) > OUTBOX

    async def run_sender(self) -> None:
        """Send what there is to tell, until cancelled, or until the client is gone."""
        while True:
            while self._outbox:
                _, text = self._outbox.popleft()
                self._sending = True
                await self._send(text)
                self._sending = False
                self._changed.set()
            self._to_send.clear()
            await self._to_send.wait()

    async def finish(self, seconds: float) -> None:
        """Hear what is left, and tell the last utterance; second passes may take ``seconds``."""
        self._go_on()
        while self._busy or self._waiting:
            await self._change()
        if not self._broken:
            try:
                self._tell(await self._pool.call(self._hearing.finish))
            except Exception as error:
                self.fail(error)
        if self._second:
            _, late = await asyncio.wait(self._second, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self.error:
            self.say("error", message=self.error)
        self.say("end", reason=self.reason, heard_ms=self._hearing.heard_ms)
        while self._outbox or self._sending:
            await self._change()

    def drop(self) -> None:
        """Let go of the audio and of the engine's stream; its thread, if one is at it, does so later."""
        self._metrics.count("audio_seconds_total", self._hearing.heard_ms / 1000)
        self._hearing = None
        self._leave()
        for task in self._second:
            task.cancel()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def say(self, kind: str, **values: Any) -> None:
        """Put a message into the outbox; a newer partial text takes the place of one that was not sent."""
        if kind == "partial" and self._outbox and self._outbox[-1][0] == "partial":
            self._outbox.pop()
        self._outbox.append((kind, message(kind, **values)))
        self._to_send.set()

    def _go_on(self) -> None:
        """Hand audio over, if there is enough of it for the engine to go on: ten pieces cost as much as one."""
        if self._busy or not self._waiting or (self._waiting < self._wanted and not self.over.done()):
            return
        data = b"".join(self._inbox)
        data, rest = data[: self._slice], data[self._slice :]
        self._inbox, self._waiting = [rest] if rest else [], len(rest)
        self._busy = True
        self._pool.run(partial(_timed, self._hearing, data), self._heard)

    def _leave(self) -> None:
        """Forget audio that was not heard."""
        self._inbox, self._waiting = [], 0

    def _heard(self, result: tuple[list, float, float] | None, error: BaseException | None) -> None:
        self._busy = False
        self._changed.set()
        if self._hearing is None:
            return
        if error is not None:
            self._tell(error.found if isinstance(error, BadSamples) else [])
            self.fail(error)
            return
        found, missing_ms, seconds = result
        self._wanted = min(int(missing_ms * self._hello.bytes_per_ms), self._slice)
        self._metrics.count("engine_seconds_total", seconds)
        self._tell(found)
        if self._hearing.heard_ms >= 1000 * self._limits.max_stream_s:
            self._leave()
            self.end("limit")
        self._go_on()

    def fail(self, error: BaseException) -> None:
        """End the stream; a fault of ours is in the log, and the client is told that there was one."""
        self._broken = not isinstance(error, UserError)  # which refuses this audio, and knows what was before it
        self._leave()
        if self._broken:
            LOG.error("a stream's audio could not be heard", exc_info=error)
        self.end("error", "the server failed to hear this audio: its log says why" if self._broken else str(error))

    def _tell(self, found: list[Partial | Final]) -> None:
        for one in found:
            if isinstance(one, Partial):
                if self._hello.partials:
                    self.say("partial", utterance=one.utterance, text=one.text, heard_ms=one.heard_ms)
                continue
            self._metrics.count("utterances_total")
            times = {"start_ms": one.start_ms, "end_ms": one.end_ms, "endpoint": one.endpoint}
            self.say("final", utterance=one.utterance, text=one.text, **times, words=one.words)
            if one.piece is not None:
                self._hear_again(one.utterance, one.piece)

    def _hear_again(self, utterance: int, piece: Piece) -> None:
        waiting = self._second_pass.offer(piece)
        if waiting is None:
            self._metrics.count("second_pass_total", outcome="skipped")
            self.say("second_pass", utterance=utterance, text=None, skipped="the server has too much to do")
            return
        task = asyncio.ensure_future(self._await_second(utterance, waiting, time.perf_counter()))
        self._second.add(task)
        task.add_done_callback(self._second.discard)

    async def _await_second(self, utterance: int, waiting: asyncio.Future, began: float) -> None:
        try:
            result = await waiting
        except asyncio.CancelledError:
            waiting.cancel()
            self._metrics.count("second_pass_total", outcome="cancelled")
            self.say("second_pass", utterance=utterance, text=None, skipped="there was no time for it")
            raise
        except Exception as error:
            LOG.error("an utterance had no second pass", exc_info=error)
            self._metrics.count("second_pass_total", outcome="failed")
            self.say("second_pass", utterance=utterance, text=None, skipped="the dense sub-network failed")
            return
        self._metrics.count("second_pass_total", outcome="done")
        words = [word.to_dict() for word in result.words]
        delay_ms = round(1000 * (time.perf_counter() - began), 1)
        self.say("second_pass", utterance=utterance, text=result.text, delay_ms=delay_ms, words=words)


def _timed(hearing: Hearing, data: bytes) -> tuple[list[Partial | Final], float, float]:
    """Return what there is to tell, ms of audio until there can be more, and seconds of CPU time."""
    began = time.thread_time()
    found = hearing.hear(data)
    return found, hearing.wants_ms - hearing.heard_ms, time.thread_time() - began
