"""Histogram of a streaming sub-network's emission delays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dualmode.results.decodes import Row
from dualmode.results.plots import BLUE, GREY, VERMILION, save
from dualmode.results.table import context, weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BIN_MS = 40  # width of a bar: an encoder frame


def plot_delays(delays: Sequence[float], row: Row, path: str | os.PathLike) -> None:
    """Write :func:`delay_figure` as a PNG."""
    save(delay_figure(delays, row), path)


def delay_figure(delays: Sequence[float], row: Row) -> Figure:
    """Return the histogram with its median and 90th percentile.

    Args:
        delays: of each word, ms.
        row: has ``set``, ``sparsity``, ``chunk_ms``, ``lookahead_ms`` and ``left_ms``.
    """
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    figure.suptitle(f"{row['set']}: emission delay of {len(delays)} words", fontweight="bold")
    axes = figure.add_subplot()
    where = context(row["chunk_ms"], row["lookahead_ms"], row["left_ms"])
    axes.set_title(f"{weights(row['sparsity'])}, {where}", fontsize="small")
    edges = np.arange(BIN_MS * (min(delays) // BIN_MS), max(delays) + 2 * BIN_MS, BIN_MS)
    axes.hist(delays, edges.tolist(), color=BLUE if row["sparsity"] == 0 else VERMILION, alpha=0.8)
    for percent, style in ((50, "-"), (90, "--")):
        value = float(np.percentile(delays, percent))
        axes.axvline(value, color=GREY, linestyle=style, label=f"p{percent} {value:.0f} ms")
    axes.set_xlabel("audio heard between a word's end and its last token (ms)")
    axes.set_ylabel(f"words in {BIN_MS} ms")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.legend(frameon=False)
    return figure
