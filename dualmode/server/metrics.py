"""Counters, and their text as Prometheus reads it."""

from collections import Counter
from collections.abc import Callable

ABOUT = {
    "streams_total": "streams that were opened",
    "streams_ended_total": "streams that ended, by reason",
    "audio_seconds_total": "seconds of audio heard, of streams and uploads",
    "utterances_total": "utterances of streams",
    "second_pass_total": "second passes of streams, by outcome",
    "requests_total": "transcriptions, by status",
    "refused_total": "connections and requests that were refused, by reason",
    "engine_seconds_total": "seconds that threads spent in the engine for streams",
}


class Metrics:
    """Numbers of one server, counted in the event loop.

    >>> metrics = Metrics()
    >>> metrics.count("refused_total", reason="token")
    >>> metrics.text().splitlines()[-1]
    'dualmode_refused_total{reason="token"} 1'
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
        self._gauges: dict[str, tuple[str, Callable[[], float]]] = {}

    def count(self, name: str, by: float = 1, **labels: str) -> None:
        """Add to a counter, one of ABOUT; labels come from a small fixed set."""
        self._counts[name, tuple(sorted(labels.items()))] += by  # type: ignore[assignment]

    def gauge(self, name: str, about: str, value: Callable[[], float]) -> None:
        """Say how to ask for a number that goes up and down."""
        self._gauges[name] = about, value

    def text(self) -> str:
        """Return all numbers in the text format of Prometheus, version 0.0.4."""
        lines = []
        for name, (about, value) in self._gauges.items():
            lines += [*_head(name, about, "gauge"), f"dualmode_{name} {value():.10g}"]
        for name, about in ABOUT.items():
            rows = sorted((labels, count) for (own, labels), count in self._counts.items() if own == name)
            if not rows:
                continue
            lines += _head(name, about, "counter")
            for labels, count in rows:
                inside = ",".join(f'{key}="{value}"' for key, value in labels)
                lines.append(f"dualmode_{name}{{{inside}}} {count:.10g}" if inside else f"dualmode_{name} {count:.10g}")
        return "\n".join(lines) + "\n"


def _head(name: str, about: str, kind: str) -> list[str]:
    return [f"# HELP dualmode_{name} {about}", f"# TYPE dualmode_{name} {kind}"]
