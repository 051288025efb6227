"""Figures of a pruning and of a result, and what all figures share.

Each ``plot_X(data, path)`` writes a PNG; ``X_figure(data)`` is the figure itself.  Figures are made without pyplot: no
display, no global state.  Colours are those of Okabe and Ito, which colour-blind people tell apart; the dense
sub-network is blue and the sparse one vermilion everywhere.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dualmode.errors import UserError
from dualmode.results.decodes import Row, row_order
from dualmode.results.details import display_width
from dualmode.results.table import heard, weights
from dualmode_runtime.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 120
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
GREY = "#555555"
OTHERS = (GREEN, PURPLE, ORANGE, SKY)
KINDS = {"feed-forward": BLUE, "attention": VERMILION, "convolution": GREEN}

MOST_BARS = 24  # layers; more of them become a heat map


def plot_layer_sparsity(report: Mapping[str, Any], path: str | os.PathLike) -> None:
    """Draw the share of weights kept in each layer: bars for few layers, a map of block x layer for many.

    Args:
        report: ``layers`` (list of ``name``, ``kind``, ``shape`` (out, in), ``kept_share`` 0..1), ``sparsity`` (the
            target, 0..1) and ``granularity`` (text).
        path: PNG to write.

    Raises:
        UserError: the report has no layer.
    """
    save(layer_sparsity_figure(report), path)


def plot_wer(rows: Sequence[Row], path: str | os.PathLike) -> None:
    """Draw the word error rates of the results: a group for each set, a bar for each sub-network and search.

    A bar has a line over its 95 % interval where its row has ``wer_interval``.
    """
    save(wer_figure(rows), path)


def layer_sparsity_figure(report: Mapping[str, Any]) -> Figure:
    layers = report["layers"]
    if not layers:
        raise UserError("there is no layer to draw: the report names none")
    places = [block_and_part(layer["name"]) for layer in layers]
    if len(layers) > MOST_BARS and None not in places:
        figure = _sparsity_map(layers, places)
    else:
        figure = _sparsity_bars(layers)
    sizes = [math.prod(layer["shape"]) for layer in layers]
    kept = sum(size * layer["kept_share"] for size, layer in zip(sizes, layers, strict=True))
    figure.suptitle(
        f"{kept / 1e6:.2f} M of {sum(sizes) / 1e6:.2f} M prunable weights kept ({100 * kept / sum(sizes):.1f} %)\n"
        f"target {100 * report['sparsity']:g} % pruned, {report['granularity']}",
    )
    return figure


def block_and_part(name: str) -> tuple[int, str] | None:
    """Split a layer's name at its block's number; None where it has none.

    >>> block_and_part("encoder.blocks.3.ffn1.up"), block_and_part("output")
    ((3, 'ffn1.up'), None)
    """
    match = re.search(r"(?:^|\.)(\d+)\.(.+)$", name)
    return (int(match[1]), match[2]) if match else None


def layer_kind(kind: str) -> str:
    """Return the kind of a layer as people call it: ffn1 and ffn2 are feed-forward."""
    return "feed-forward" if kind.startswith(("ffn", "feed_forward")) else kind.replace("_", " ")


def _kind_colours(layers: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    kinds = list(dict.fromkeys(layer_kind(layer["kind"]) for layer in layers))
    unknown = [kind for kind in kinds if kind not in KINDS]
    return {kind: KINDS.get(kind) or (PURPLE, ORANGE, SKY)[unknown.index(kind) % 3] for kind in kinds}


def _sparsity_bars(layers: Sequence[Mapping[str, Any]]) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    colours = _kind_colours(layers)
    figure = Figure(figsize=(8, 1.6 + 0.27 * len(layers)), layout="constrained")
    axes = figure.add_subplot()
    shares = [100 * layer["kept_share"] for layer in layers]
    bars = axes.barh(
        [f"{layer['name']}  {layer['shape'][0]} x {layer['shape'][1]}" for layer in layers],
        shares,
        color=[colours[layer_kind(layer["kind"])] for layer in layers],
    )
    axes.bar_label(bars, [f"{share:.1f}" for share in shares], padding=3, fontsize="small")
    axes.invert_yaxis()
    axes.set_xlim(0, 108)
    axes.set_xticks(range(0, 101, 20))
    axes.set_xlabel("weights kept (%)")
    axes.set_ylabel("layer, outputs x inputs")
    axes.spines[["top", "right"]].set_visible(False)
    handles = [Patch(color=colour, label=kind) for kind, colour in colours.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    return figure


def _sparsity_map(layers: Sequence[Mapping[str, Any]], places: Sequence[tuple[int, str]]) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    blocks = sorted({block for block, _ in places})
    parts = {part: layer for (_, part), layer in zip(places, layers, strict=True)}
    names = list(parts)
    shares = [[math.nan] * len(blocks) for _ in names]
    for (block, part), layer in zip(places, layers, strict=True):
        shares[names.index(part)][blocks.index(block)] = 100 * layer["kept_share"]
    figure = Figure(figsize=(3.6 + 0.5 * len(blocks), 2.2 + 0.42 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for line, row in enumerate(shares):
        for column, share in enumerate(row):
            if not math.isnan(share):
                colour = "white" if share > 60 else "black"
                axes.text(column, line, f"{share:.0f}", ha="center", va="center", color=colour, fontsize="small")
    axes.set_xticks(range(len(blocks)), [str(block) for block in blocks])
    axes.set_yticks(range(len(names)), [f"{n}  {parts[n]['shape'][0]} x {parts[n]['shape'][1]}" for n in names])
    colours = _kind_colours(layers)
    for tick, layer in zip(axes.get_yticklabels(), parts.values(), strict=True):
        tick.set_color(colours[layer_kind(layer["kind"])])
    axes.tick_params(length=0)
    axes.set_xlabel("encoder block")
    axes.set_ylabel("layer, outputs x inputs")
    figure.colorbar(image, ax=axes, label="weights kept (%)")
    handles = [Patch(color=colour, label=kind) for kind, colour in colours.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    return figure


def wer_figure(rows: Sequence[Row]) -> Figure:
    from matplotlib.figure import Figure

    if not rows:
        raise UserError("there is no result to draw")
    sets = list(dict.fromkeys(row["set"] for row in rows))
    subnets = {_ran(row): row for row in sorted(rows, key=lambda row: row_order(row)[1:])}
    width = 0.8 / len(subnets)
    labels = [_set_label(name, rows) for name in sets]
    widest = max(text_width(line) for label in labels for line in label.splitlines())
    group = max(0.75 * len(subnets), 1.2 * widest + 0.2)  # inches
    size = (max(6.4, 1.5 + group * len(sets)), 4 + 0.22 * len(subnets))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    colours = subnet_colours((name, row["sparsity"]) for name, row in subnets.items())
    for number, (subnet, example) in enumerate(subnets.items()):
        own = [row for row in rows if _ran(row) == subnet]
        shift = (number - (len(subnets) - 1) / 2) * width
        label = f"{weights(example['sparsity'])}, {_context_label(example)}"
        places = [sets.index(row["set"]) + shift for row in own]
        lines = list(zip(*map(_line, own), strict=True)) if any(row.get("wer_interval") for row in own) else None
        heights, line = [row["wer"] for row in own], {"elinewidth": 1.5, "ecolor": GREY}
        bars = axes.bar(places, heights, 0.92 * width, color=colours[subnet], label=label, yerr=lines, error_kw=line)
        axes.bar_label(bars, [f"{row['wer']:.2f}" for row in own], padding=2, fontsize="small")  # above the lines
    axes.set_xticks(range(len(sets)), labels)
    axes.set_xlim(-0.6, len(sets) - 0.4)
    axes.set_ylim(0, 1.12 * max(*(row["wer"] + _line(row)[1] for row in rows), 1))
    axes.set_ylabel("word error rate (%)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", frameon=False, fontsize="small")
    return figure


def text_width(text: str) -> float:
    """Return about how many inches a text takes in a figure's small letters."""
    return 0.07 * display_width(text)


def _ran(row: Row) -> tuple[str, str]:
    """Return what a row is a result of: its sub-network and its search, "" where that is the greedy one."""
    return row["subnet"], row.get("search", "")


def _set_label(name: str, rows: Sequence[Row]) -> str:
    row = next(row for row in rows if row["set"] == name)
    people = f", {row['speakers']} speaker{'s' * (row['speakers'] > 1)}" if "speakers" in row else ""
    return f"{name}\n{row['words']} words{people}"


def _line(row: Row) -> tuple[float, float]:
    """Return how far the line of a bar reaches below and above its end."""
    low, high = row.get("wer_interval") or (row["wer"], row["wer"])
    return max(row["wer"] - low, 0), max(high - row["wer"], 0)


def _context_label(row: Row) -> str:
    words = heard(row)
    return words.replace("full", "full context", 1) if words.startswith("full") else words


def subnet_colours(subnets: Iterable[tuple[Any, float]]) -> dict[Any, str]:
    """Return the colour of each (name, sparsity), by name.

    Blue for the first dense sub-network, vermilion for the first sparse one, other colours for any further ones.
    """
    colours: dict[Any, str] = {}
    others = iter(OTHERS * 8)
    for name, sparsity in subnets:
        first = BLUE if sparsity == 0 else VERMILION
        colours[name] = next(others) if first in colours.values() else first
    return colours


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Write a figure as PNG, with room around it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    FigureCanvasAgg(figure)
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(w_pad=0.12, h_pad=0.1)  # inches between the text and the edge
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)
