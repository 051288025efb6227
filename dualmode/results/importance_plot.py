"""The figure of a pruning's importances: what stays, and what the masks leave out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dualmode.results.plots import BLUE, GREY, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_importance(histogram: Mapping[str, Any], what: str, path: str | os.PathLike) -> None:
    """Draw the histogram of :func:`dualmode.supernet.report.importance_histogram`, a panel for each sparsity.

    Args:
        histogram: ``edges``, ``groups`` and ``kept`` by sparsity.
        what: the groups are, such as "blocks of 8x4".
        path: PNG to write.
    """
    save(importance_figure(histogram, what), path)


def importance_figure(histogram: Mapping[str, Any], what: str) -> Figure:
    from matplotlib.figure import Figure

    edges, groups = histogram["edges"], histogram["groups"]
    figure = Figure(figsize=(7.2, 1.4 + 2.0 * len(histogram["kept"])), layout="constrained")
    panels = figure.subplots(len(histogram["kept"]), sharex=True, squeeze=False)[:, 0]
    for axes, (sparsity, kept) in zip(panels, histogram["kept"].items(), strict=True):
        axes.stairs(groups, edges, fill=True, color=GREY, alpha=0.45, label="pruned")
        axes.stairs(kept, edges, fill=True, color=BLUE, label="kept")
        axes.set_ylabel(f"groups\n({100 * float(sparsity):g} % pruned)")
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0)
    panels[0].legend(frameon=False)
    panels[-1].set_xlabel("importance of a group, times the mean of its layer (last bin: and above)")
    figure.suptitle(f"{sum(groups)} groups: {what}")
    return figure
