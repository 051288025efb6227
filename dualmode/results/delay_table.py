"""The table of emission delays, for RESULTS.md and for a terminal."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dualmode.results.delays import FIELDS, KINDS, DelayStatistics
from dualmode.results.table import context, escaped, weights

MEASURES = """\
Audio heard, in ms, between when something was said and when the stream put it out: chunk, look-ahead and what the
sub-network itself waits for, without computing time. When words were said is where the dense sub-network's CTC
alignment of the transcript has their tokens, in steps of 40 ms. p50 and p90 are percentiles; a blank was not run."""


def markdown_section(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the section of RESULTS.md, a line for every streaming row; nothing where no row has delays."""
    streaming = [row for row in rows if row["chunk_ms"] is not None]
    if not any(row["emission_delay"] for row in streaming):
        return
    heads = [f"{kind.replace('_', ' ')} {part}" for kind in KINDS for part in ("mean", "p50", "p90")]
    yield from ("", "## Emission delay of the streaming sub-networks (ms)", "")
    yield "| " + " | ".join(["set", "weights", "context", "words", *heads]) + " |"
    yield "| :-- | :-- | :-- |" + " --: |" * (1 + len(heads))
    for row in streaming:
        where = [row["set"], weights(row["sparsity"]), context(row["chunk_ms"], row["lookahead_ms"], row["left_ms"])]
        cells = [*map(escaped, where)] + _cells(row["emission_delay"])
        yield "| " + " | ".join(cells) + " |"
    yield from ("", MEASURES, "")
    yield from (f"- {kind.replace('_', ' ')}: {meaning}" for kind, meaning in KINDS.items())


def _cells(delays: DelayStatistics | None) -> list[str]:
    if delays is None:
        return [""] * (1 + 3 * len(KINDS))
    count = delays["word"]["count"] if delays["word"] else 0
    values = [delays[kind] and delays[kind][field] for kind in KINDS for field in FIELDS[1:]]
    return [str(count), *("" if value is None else f"{value:.0f}" for value in values)]


def terminal_lines(delays: DelayStatistics) -> list[str]:
    """Return a line for each kind of delay.

    >>> terminal_lines({"word": {"count": 3, "mean_ms": 410.5, "p50_ms": 400.0, "p90_ms": 650.0}})
    ['end of a recognised word to its last token: mean 410 ms, p50 400 ms, p90 650 ms (3)']
    """
    return [
        f"{KINDS[kind]}: mean {found['mean_ms']:.0f} ms, p50 {found['p50_ms']:.0f} ms, p90 {found['p90_ms']:.0f} ms "
        f"({found['count']})"
        for kind, found in delays.items()
        if found
    ]
