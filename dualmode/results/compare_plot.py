"""Figure of :mod:`dualmode.results.compare`: word error rate against sparsity, a line for each experiment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dualmode.results.compare import Column, Spread, by_set
from dualmode.results.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, save, text_width

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY)
LINES = ("-", "--", ":", "-.")
MARKERS = "osD^vPX"
KEY = 0.7  # inches of a legend's line and of the room around its name
WIDTH = 0.5  # over which the lines' points are spread, of the distance between two sub-networks


def plot_comparison(
    columns: Sequence[Column], rows: Mapping[str, Sequence[Spread | None]], path: str | os.PathLike
) -> None:
    """Draw the mean of each experiment, with a bar from its lowest to its highest run; a panel for each set.

    Args:
        columns, rows: of :func:`dualmode.results.compare.compare`.
        path: PNG to write.
    """
    save(comparison_figure(columns, rows), path)


def comparison_figure(columns: Sequence[Column], rows: Mapping[str, Sequence[Spread | None]]) -> Figure:
    from matplotlib.figure import Figure

    sets = by_set(columns)
    figure = Figure(figsize=(max(6.4, 5.6 * len(sets)), 4.4 + 0.2 * len(rows)), layout="constrained")
    for number, (name, places) in enumerate(sets.items(), 1):
        axes = figure.add_subplot(1, len(sets), number)
        for order, (label, cells) in enumerate(rows.items()):
            shift = WIDTH * (order / max(len(rows) - 1, 1) - 0.5)
            points = [(x + shift, cells[place]) for x, place in enumerate(places) if cells[place] is not None]
            axes.errorbar(
                [x for x, _ in points],
                [cell.mean for _, cell in points],
                [[cell.mean - cell.low for _, cell in points], [cell.high - cell.mean for _, cell in points]],
                label=label if number == 1 else None,
                color=COLOURS[order % len(COLOURS)],
                linestyle=LINES[order // len(COLOURS) % len(LINES)],
                marker=MARKERS[order % len(MARKERS)],
                markersize=4,
                linewidth=1,
                capsize=2,
            )
        axes.set_xticks(range(len(places)), _names([columns[place] for place in places]))
        axes.set_ylim(bottom=0)
        axes.set_title(name)
        axes.set_xlabel("weights of the sub-network")
        axes.set_ylabel("word error rate (%)")
        axes.grid(axis="y", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    widest = KEY + max(map(text_width, rows), default=0)
    columns_of_legend = max(1, min(4, int(figure.get_figwidth() / widest)))
    figure.legend(loc="outside lower center", ncols=columns_of_legend, frameon=False, fontsize="small")
    return figure


def _names(columns: Sequence[Column]) -> list[str]:
    """Return the weights of each, with the context below where two have the same weights."""
    weights = [_weights(sparsity) for _, sparsity, _ in columns]
    if len(set(weights)) == len(weights):
        return weights
    contexts = [where.replace(", ", "\n") for _, _, where in columns]
    return [f"{name}\n{where}" for name, where in zip(weights, contexts, strict=True)]


def _weights(sparsity: float) -> str:
    return f"{100 * sparsity:g} % pruned" if sparsity else "dense"
