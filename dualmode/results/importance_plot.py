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


def tint(colour: str, share: float) -> tuple[float, float, float]:
    """Return a colour mixed with white, of which it has ``share`` (0..1), as red, green and blue.

    >>> tint("#0000FF", 0.25)
    (0.75, 0.75, 1.0)
    """
    from matplotlib.colors import to_rgb

    red, green, blue = (1 - share * (1 - value) for value in to_rgb(colour))
    return red, green, blue


def importance_figure(histogram: Mapping[str, Any], what: str) -> Figure:
    from matplotlib.figure import Figure

    edges, kinds = histogram["edges"], histogram["kinds"]
    columns = min(len(kinds), 2)
    lines = -(-len(kinds) // columns)
    figure = Figure(figsize=(4.6 * columns, 1.4 + 2.4 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, squeeze=False).flatten()
    for axes, (kind, counts) in zip(panels, kinds.items(), strict=False):
        axes.stairs(counts["groups"], edges, fill=True, color=tint(GREY, 0.35), label="pruned")
        for number, (sparsity, kept) in enumerate(counts["kept"].items(), 1):
            # Each keeps a part of what the last one keeps, and is drawn over it: in opaque colours, as the legend has.
            colour = tint(BLUE, 0.3 + 0.7 * number / len(counts["kept"]))
            axes.stairs(kept, edges, fill=True, color=colour, label=f"kept at {100 * float(sparsity):g} %")
        axes.set_title(f"{kind}: {sum(counts['groups'])} groups", fontsize="medium")
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0)
    for axes in panels[len(kinds) :]:
        axes.set_visible(False)
    panels[0].legend(frameon=False, fontsize="small")
    figure.supylabel("groups")
    figure.supxlabel("importance of a group, times the mean of its layer\n(last bin: and above)")
    figure.suptitle(what)
    return figure
