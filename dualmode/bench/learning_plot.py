"""Learning curves of :mod:`dualmode.bench.learning` as a picture."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from dualmode.bench.learning_rows import best_rates, seeds_of
from dualmode.results.plots import BLUE, DPI, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from dualmode_runtime.files import atomic_path

COLOURS = {"dense": BLUE, "stream": SKY, "both": GREEN, "supernet": VERMILION, "espnet": GREY}
OTHERS = (PURPLE, ORANGE, "#000000", "#F0E442")


def plot_curves(rows: Sequence[dict], path: Path) -> None:
    """Draw the character error rate over updates, a panel for each size.

    Thick lines are means over seeds, thin ones single seeds, dashes streaming sub-networks.
    """
    curves = best_rates(rows)
    panels = sorted({(curve[0]["size"], curve[0]["of"]) for curve in curves})
    figure = Figure(figsize=(1 + 5 * len(panels), 4.2), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, panel in zip(axes, panels, strict=True):
        others = iter(OTHERS * len(curves))
        for curve in curves:
            if (curve[0]["size"], curve[0]["of"]) != panel:
                continue
            label, rate = curve[0]["label"], curve[0]["learning_rate"]
            colour = COLOURS.get(label) or next(others)
            updates = [point["updates"] for point in curve]
            name = f"{label}, rate {rate:g}" + (f", start {start}" if (start := curve[0]["start"]) != "zero" else "")
            ax.plot(updates, [point["cer"] for point in curve], color=colour, marker="o", markersize=3, label=name)
            for seed in seeds_of(rows, curve[0]):
                points = [(row["updates"], row["cer"]) for row in seed]
                ax.plot(*zip(*points, strict=True), color=colour, linewidth=0.6, alpha=0.6)
            if "cer_stream" in curve[0]:
                streamed = [point["cer_stream"] for point in curve]
                ax.plot(updates, streamed, color=colour, linestyle="--", label=f"{label}, streaming")
        ax.set(
            title=f"{panel[0]}, {panel[1]} updates", xlabel="updates", ylabel="character error rate (%)", ylim=(0, 100)
        )
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8)
    with atomic_path(path) as tmp:
        figure.savefig(tmp, dpi=DPI, format="png")
