"""Progress of long work: one line at most every few seconds, with the time left."""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TextIO, TypeVar

T = TypeVar("T")
INTERVAL_S = 5.0


def format_seconds(seconds: float) -> str:
    """Return a duration as people say it.

    >>> format_seconds(7), format_seconds(75), format_seconds(3725)
    ('7 s', '1 min 15 s', '1 h 02 min')
    """
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def format_bytes(count: float) -> str:
    """Return a size as disks are sold.

    >>> format_bytes(96_000), format_bytes(12.8e9)
    ('0.1 MB', '12.8 GB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


class Progress:
    """Counts finished units of work and prints ``label: 120/450 (27 %), 1 min 10 s left`` now and then.

    Args:
        total: units of work in all, or None when nobody knows.
        label: what is being done.
        done: units already finished before this run (a resumed job); they do not enter the estimate of the speed.
        out: where the lines go; standard error by default.
    """

    def __init__(self, total: int | None, label: str, done: int = 0, out: TextIO | None = None):
        self.total, self.label, self.done, self.out = total, label, done, out
        self._first = done
        self._start = self._last = time.monotonic()

    def advance(self, units: int = 1, note: str = "") -> None:
        """Count ``units`` as finished; print a line if the last one is old enough."""
        self.done += units
        now = time.monotonic()
        if now - self._last >= INTERVAL_S:
            self._last = now
            self._print(now, note)

    def finish(self) -> None:
        """Print the closing line, for work long enough to have printed one before."""
        if self._last > self._start:
            elapsed = format_seconds(time.monotonic() - self._start)
            print(f"{self.label}: {self.done} done in {elapsed}", file=self.out or sys.stderr, flush=True)

    def _print(self, now: float, note: str) -> None:
        worked, elapsed = self.done - self._first, now - self._start
        text = f"{self.label}: {self.done}"
        if self.total:
            left = elapsed / max(worked, 1) * max(self.total - self.done, 0)
            text += f"/{self.total} ({100 * self.done // self.total} %), {format_seconds(left)} left"
        print(f"{text}{', ' + note if note else ''}", file=self.out or sys.stderr, flush=True)


def progress(iterable: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Yield from ``iterable`` and report how far it is.  ``total`` defaults to ``len(iterable)`` where it has one."""
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    state = Progress(total, label)
    for item in iterable:
        yield item
        state.advance()
    state.finish()
