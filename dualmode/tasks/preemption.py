"""A training that is told to stop saves its state and goes on later.

A cluster takes a machine back with SIGTERM, or announces with SIGUSR1 that the time is nearly up; a user's recipe stops
its commands with SIGTERM.  The training then finishes the update that it is in, writes a checkpoint of that batch, and
ends with status 75, on which :mod:`dualmode.cluster.task` queues it again.  Before its first update there is nothing to
save, and it ends so at once.
"""

import os
import signal
from multiprocessing import active_children
from types import FrameType

from dualmode.cluster.task import REQUEUE

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
# Of a training process that was told to stop: it has saved its state, or the signal met it before it trained.
STOPPED = (REQUEUE, *(-number for number in SIGNALS))


class Preemption:
    """Whether this process has been told to stop; several processes of a training agree at the end of an update."""

    def __init__(self):
        self.told = False
        for number in SIGNALS:
            signal.signal(number, self._tell)

    def _tell(self, number: int, frame: FrameType | None) -> None:
        self.told = True


def pass_on() -> None:
    """Make this process hand the signals to the training processes that it starts; without any, it ends.

    One that trains by itself replaces this by its :class:`Preemption`.
    """

    def hand_on(number: int, frame: FrameType | None) -> None:
        children = active_children()
        for child in children:
            os.kill(child.pid, number)
        if not children:
            raise SystemExit(REQUEUE)

    for number in SIGNALS:
        signal.signal(number, hand_on)
