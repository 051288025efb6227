"""What the parts of one running server share."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from dualmode.server.guard import Guard
from dualmode.server.limits import Limits
from dualmode.server.metrics import Metrics
from dualmode.server.models import Served
from dualmode.server.pool import EnginePool
from dualmode.server.second_pass import SecondPass
from dualmode.server.stream import Stream


@dataclass
class State:
    """A running server.

    Attributes:
        served, limits, guard: as it was started.
        metrics: what it has done.
        pool, second_pass: its threads; ``second_pass`` is None where the model has no dense sub-network.
        aliases: other names of the best model, such as "whisper-1".
        streams: that are open.
        requests: transcriptions at work.
        stopping: whether it takes nothing new.
        late: whether it ends now: transcriptions at work are refused.
    """

    served: Served
    limits: Limits
    guard: Guard
    metrics: Metrics
    pool: EnginePool
    second_pass: SecondPass | None
    aliases: frozenset[str] = frozenset()
    streams: set[Stream] = field(default_factory=set)
    requests: int = 0
    stopping: bool = False
    late: bool = False

    def stop(self) -> None:
        """Take nothing new; open streams end with their text."""
        self.stopping = True
        for stream in list(self.streams):
            stream.end("stopping")

    def give_up(self) -> None:
        """Refuse transcriptions that are at work, at once where they wait for the dense sub-network."""
        self.late = True
        if self.second_pass:
            self.second_pass.close()

    @property
    def at_rest(self) -> bool:
        return not self.streams and not self.requests

    def close(self) -> None:
        """End the threads, those of the engine when what waits is done."""
        self.give_up()
        self.pool.close()


def start(served: Served, limits: Limits, guard: Guard, threads: int, aliases: Iterable[str] = ()) -> State:
    """Start the threads of a server, in the event loop that runs."""
    loop = asyncio.get_running_loop()
    second_pass = SecondPass(served.dense, limits.max_second_pass, loop) if served.dense else None
    state = State(served, limits, guard, Metrics(), EnginePool(threads, loop), second_pass, frozenset(aliases))
    state.metrics.gauge("streams", "open streams", lambda: len(state.streams))
    state.metrics.gauge("requests", "transcriptions at work", lambda: state.requests)
    if second_pass:
        state.metrics.gauge(
            "second_pass_waiting", "utterances waiting for the second pass", lambda: second_pass.waiting
        )
    return state
