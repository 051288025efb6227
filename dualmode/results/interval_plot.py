"""Figure of :mod:`dualmode.results.intervals`: error rates, and planned differences beside their margin."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from dualmode.results.compare import Column, subnet_name
from dualmode.results.intervals import Estimate, Interval
from dualmode.results.planned import Verdict
from dualmode.results.plots import BLUE, GREY, VERMILION, save, subnet_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEP = 0.24  # between the sub-networks of a row


def plot_intervals(
    rows: Mapping[str, Mapping[Column, Estimate]], verdicts: Sequence[Verdict], path: str | os.PathLike
) -> None:
    """Draw :func:`interval_figure` as PNG."""
    save(interval_figure(rows, verdicts), path)


def interval_figure(rows: Mapping[str, Mapping[Column, Estimate]], verdicts: Sequence[Verdict] = ()) -> Figure:
    """Return a panel for each whole set, with a line for each row, and one of the planned differences that are known.

    The first dense sub-network is blue and the first sparse one is vermilion; bars are 95 % intervals.
    """
    from matplotlib.figure import Figure

    sets = sorted({column[0] for row in rows.values() for column in row if "/" not in column[0]})
    known = [verdict for verdict in verdicts if verdict.difference]
    panels = len(sets) + bool(known)
    height = 1.8 + 0.42 * max(len(rows), len(known))
    figure = Figure(figsize=(5.6 * max(panels, 1), height), layout="constrained")
    for number, name in enumerate(sets, 1):
        _draw_rows(figure.add_subplot(1, panels, number), rows, name)
    if known:
        _draw_differences(figure.add_subplot(1, panels, panels), known)
    return figure


def styles(columns: Iterable[Column]) -> dict[tuple[float, str], tuple[str, str]]:
    """Return (label, colour) of each sub-network, by sparsity and context; the usual two have short names.

    >>> list(styles([("test", 0.7, "chunk 640 ms"), ("test", 0, "full")]).values())
    [('dense', '#0072B2'), ('sparse, streaming', '#D55E00')]
    >>> three = [("test", 0.7, "full"), ("test", 0.7, "chunk 320 ms"), ("test", 0, "full")]
    >>> [label for label, _ in styles(three).values()]
    ['dense', 'sparse 70 %, chunk 320 ms', 'sparse 70 %, full']
    """
    found: dict[tuple[float, str], tuple[str, str]] = {}
    subnets = sorted({(sparsity, where) for _, sparsity, where in columns})
    for (sparsity, where), colour in subnet_colours((subnet, subnet[0]) for subnet in subnets).items():
        alone = sum(bool(other) == bool(sparsity) for other, _ in subnets) == 1
        label = subnet_name(sparsity, where)
        if alone and (sparsity == 0) == (where == "full"):
            label = "sparse, streaming" if sparsity else "dense"
        found[sparsity, where] = label, colour
    return found


def _draw_rows(axes: Axes, rows: Mapping[str, Mapping[Column, Estimate]], name: str) -> None:
    labelled: set[str] = set()
    looks = styles(column for row in rows.values() for column in row if column[0] == name)
    words = {(one.words, one.speakers) for row in rows.values() for column, one in row.items() if column[0] == name}
    for place, row in enumerate(rows.values()):
        mine = sorted((column, one) for column, one in row.items() if column[0] == name)
        for order, (column, one) in enumerate(mine):
            label, colour = looks[column[1:]]
            y = place + STEP * (order - (len(mine) - 1) / 2)
            _point(axes, one.wer, one.interval, y, colour, None if label in labelled else label)
            labelled.add(label)
    _finish(axes, list(rows), "word error rate (%), 95 % interval")
    count, people = words.pop()
    axes.set_title(f"{name}: {count} words, {people} speaker{'s' if people > 1 else ''}")
    axes.legend(loc="best", frameon=False, fontsize="small")


def _draw_differences(axes: Axes, known: Sequence[Verdict]) -> None:
    for place, verdict in enumerate(known):
        colour = BLUE if verdict.planned.weights == "dense" else VERMILION
        _point(axes, verdict.difference.value, verdict.difference.interval, place, colour, None)
    axes.axvline(0, color=GREY, linewidth=1)
    if any(verdict.planned.ask == "non-inferior" for verdict in known):
        axes.axvline(known[0].margin, color=GREY, linewidth=1, linestyle="--", label="margin of non-inferiority")
        axes.legend(loc="best", frameon=False, fontsize="small")
    names = [f"{v.planned.row} - {v.planned.against}\n{v.planned.set}, {v.planned.weights}" for v in known]
    _finish(axes, names, "difference (% absolute), 95 % interval")
    axes.set_title("planned comparisons")


def _point(axes: Axes, x: float, bounds: Interval | None, y: float, colour: str, label: str | None) -> None:
    error = None if bounds is None else [[max(x - bounds[0], 0)], [max(bounds[1] - x, 0)]]
    axes.errorbar(
        x, y, xerr=error, fmt="o", color=colour, markersize=4, linewidth=1.2, capsize=2, label=label or "_nolegend_"
    )


def _finish(axes: Axes, names: Sequence[str], what: str) -> None:
    axes.set_yticks(range(len(names)), names, fontsize="small")
    axes.set_ylim(len(names) - 0.4, -0.6)  # the first row on top
    axes.set_xlabel(what)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
