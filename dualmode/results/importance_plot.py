"""The figure of a pruning's importances: what stays, and what the masks leave out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dualmode.results.plots import BLUE, GREY, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_importance(histogram: Mapping[str, Any], what: str, path: str | os.PathLike) -> None:
    """Draw the histogram of :func:`dualmode.supernet.report.importance_histogram`, a panel for each kind of layer.

    Args:
        histogram: ``edges``, and by kind ``groups`` and what each sparsity has ``kept``.
        what: the groups are, such as "blocks of 8x4".
        path: PNG to write.
    """
    save(importance_figure(histogram, what), path)


def importance_figure(histogram: Mapping[str, Any], what: str) -> Figure:
    from matplotlib.figure import Figure

    edges, kinds = histogram["edges"], histogram["kinds"]
    columns = min(len(kinds), 2)
    lines = -(-len(kinds) // columns)
    figure = Figure(figsize=(4.6 * columns, 1.4 + 2.4 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, squeeze=False).flatten()
    for axes, (kind, counts) in zip(panels, kinds.items(), strict=False):
        axes.stairs(counts["groups"], edges, fill=True, color=GREY, alpha=0.35, label="pruned")
        for number, (sparsity, kept) in enumerate(
            counts["kept"].items(), 1
        ):  # each keeps a part of what the last keeps
            share = number / len(counts["kept"])
            label = f"kept at {100 * float(sparsity):g} %"
            axes.stairs(kept, edges, fill=True, color=BLUE, alpha=0.3 + 0.7 * share, label=label)
        axes.set_title(f"{kind}: {sum(counts['groups'])} groups", fontsize="medium")
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0)
    for axes in panels[len(kinds) :]:
        axes.set_visible(False)
    panels[0].legend(frameon=False, fontsize="small")
    figure.supylabel("groups")
    figure.supxlabel("importance of a group, times the mean of its layer (last bin: and above)")
    figure.suptitle(what)
    return figure
