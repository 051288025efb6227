"""The figure of a training: a curve for each value that its epochs report, a panel for each kind of value."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dualmode.errors import UserError
from dualmode.results.plots import BLUE, GREY, OTHERS, VERMILION, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# {"train": {"loss_dense": [(epoch, value), ...]}, "valid": ...}
History = Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]


@dataclass(frozen=True)
class Panel:
    """What is drawn on one axis.

    Attributes:
        keys: of its values, a regular expression; what follows the match names the curve.
        label: of the axis.
        log: whether the axis is logarithmic once its largest value is more than :data:`LOG_RATIO` times its smallest.
        from_zero: whether the axis begins at 0.
        scale: what values are multiplied by, to be in the unit of the label.
    """

    keys: str
    label: str
    log: bool = False
    from_zero: bool = False
    scale: float = 1.0


# A value belongs to the first panel whose expression matches its key; anything else has a panel of its own.
PANELS = (
    Panel("loss_ctc(_|$)", "loss of CTC (nats)", log=True),
    Panel("loss_rnnt(_|$)", "loss of RNN-T (nats)", log=True),
    Panel("loss_flat(_|$)", "loss of the flat start (nats)", log=True),
    Panel("loss_(?!scale)", "loss of a branch (nats)", log=True),
    Panel("loss$", "total loss (nats)", log=True),
    Panel("wer(_|$)", "word error rate (%)", log=True),
    Panel("ter(_|$)", "token error rate (%)", log=True),
    Panel("cer(_|$)", "character error rate (%)", log=True),
    Panel("accuracy(_|$)|(?=chance$)", "accuracy (share of 1)", from_zero=True),
    Panel("edge_accuracy(_|$)", "accuracy at the edges of spans"),
    Panel("visible_loss(_|$)", "loss of visible frames (nats)", log=True),
    Panel("visible_accuracy(_|$)", "accuracy at visible frames"),
    Panel("perplexity", "perplexity of the codes"),
    Panel(r"dead(?=\d)", "dead codes (share of 1)", from_zero=True),
    Panel("mask_change$", "mask entries changed (share of 1)", from_zero=True),
    Panel("masks_settled$", "masks at their full sparsity (1: yes)"),
    Panel("masked_share$", "hidden frames (share of 1)", from_zero=True),
    Panel(r"(optim\d+_)?lr\d*$", "learning rate"),
    Panel("grad_norm$", "norm of the gradient"),
    Panel("audio_h$", "audio an update (s)", from_zero=True, scale=3600),
)
STYLES: dict[str, dict[str, Any]] = {
    "train": {"linestyle": "--", "marker": "o", "markersize": 4, "markerfacecolor": "white"},
    "valid": {"linestyle": "-", "marker": "o", "markersize": 4},
}
MARKED = 40  # points of a curve from which it is drawn without markers
LOG_RATIO = 20


def plot_history(
    history: History, path: str | os.PathLike, title: str, chosen: int | None = None, in_turn: bool = False
) -> None:
    """Draw the curves of a training, one panel for each kind of value.

    Args:
        history: by "train" and "valid", by key, the (epoch, value) pairs.  Error rates are in percent, losses in nats.
        path: PNG to write.
        title: of the figure.
        chosen: the best epoch, marked in every panel.  The model is that one or, with ``keep_nbest_models``, a mean of
            the best.
        in_turn: whether an update trained one branch: its total loss then is of one branch, that of validation of both,
            which the legend says.

    Raises:
        UserError: there is no value to draw.
    """
    save(history_figure(history, title, chosen, in_turn), path)


def history_figure(history: History, title: str, chosen: int | None = None, in_turn: bool = False) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    panels = group_keys(key for curves in history.values() for key in curves)
    if not panels:
        raise UserError(f"there is nothing to draw for {title!r}: the history has no values")
    columns = len(panels) if len(panels) <= 3 else 2 if len(panels) == 4 else 3
    lines = math.ceil(len(panels) / columns)
    epochs = [epoch for curves in history.values() for points in curves.values() for epoch, _ in points]
    figure = Figure(figsize=(max(5.2 * columns, 6), 0.7 + 3.5 * lines), layout="constrained")
    figure.suptitle(title, fontweight="bold")
    for number, (panel, keys) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(lines, columns, number)
        _draw_curves(axes, history, panel, keys)
        axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
        if chosen is not None:
            axes.axvline(chosen, color=GREY, linestyle=":", linewidth=1)
    said = {"train": "train, one branch an update", "valid": "valid, both"} if in_turn else {}
    handles = [
        Line2D([], [], color=GREY, label=said.get(part, part), **STYLES[part]) for part in STYLES if history.get(part)
    ]
    if chosen is not None:
        handles.append(Line2D([], [], color=GREY, linestyle=":", linewidth=1, label=f"best epoch: {chosen}"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return figure


def group_keys(keys: Iterable[str]) -> dict[Panel, list[str]]:
    """Return the keys of each panel, in the order of :data:`PANELS` and then of the alphabet.

    >>> {panel.label: keys for panel, keys in group_keys(["temperature", "ter_sparse", "loss", "ter_dense"]).items()}
    {'total loss (nats)': ['loss'], 'token error rate (%)': ['ter_dense', 'ter_sparse'], 'temperature': ['temperature']}
    """
    panels: dict[Panel, list[str]] = {panel: [] for panel in PANELS}
    for key in sorted(set(keys)):
        panel = next((panel for panel in PANELS if re.match(panel.keys, key)), Panel(f"{key}$", key.replace("_", " ")))
        panels.setdefault(panel, []).append(key)
    return {panel: members for panel, members in panels.items() if members}


def curve_name(panel: Panel, key: str) -> str:
    """Return what the legend calls a curve: what its key says beyond the panel's label.

    >>> [curve_name(Panel("ter(_|$)", "token error rate (%)"), key) for key in ("ter_dense", "ter")]
    ['dense', 'both']
    >>> curve_name(Panel("dead", "dead codes"), "dead1")
    'codebook 1'
    """
    match = re.match(panel.keys, key)
    rest = key[match.end() :].replace("_", " ") if match else key
    if rest.isdigit():
        return f"codebook {rest}"
    return {"": "both", "distill": "distillation"}.get(rest, rest)


def last_value(history: History, key: str, scale: float = 1.0) -> str:
    """Return the last value of a curve with three digits, that of validation where there is one.

    >>> last_value({"train": {"loss": [(1, 9.0), (2, 0.12345)]}}, "loss")
    '0.123'
    """
    curves = [history.get(part, {}).get(key, ()) for part in ("valid", "train")]
    points = next(points for points in curves if points)
    return f"{scale * points[-1][1]:.3g}"


def _draw_curves(axes: Axes, history: History, panel: Panel, keys: Sequence[str]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator, NullFormatter, ScalarFormatter

    colours = _key_colours(keys)
    for part, style in STYLES.items():
        for key in keys:
            points = history.get(part, {}).get(key, ())
            if points:
                epochs, values = zip(*points, strict=True)
                line = axes.plot(
                    epochs,
                    [panel.scale * value for value in values],
                    color=colours[key],
                    label=f"{part} {key}",
                    **style,
                )[0]
                if len(points) >= MARKED:
                    line.set_marker("")
                if key == "chance":
                    line.set(marker="", linestyle=_linestyle(key))
    shown = [panel.scale * value for part in STYLES for key in keys for _, value in history.get(part, {}).get(key, ())]
    label = panel.label
    if panel.log and min(shown) > 0 and max(shown) > LOG_RATIO * min(shown):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
        label += ", logarithmic"
    if panel.from_zero:
        axes.set_ylim(0, 1.05 * max(shown) or None)
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    names = {key: f"{curve_name(panel, key)}: " if len(keys) > 1 else "" for key in keys}
    handles = [
        Line2D(
            [],
            [],
            color=colours[key],
            linewidth=2,
            label=f"{names[key]}{last_value(history, key, panel.scale)}",
            linestyle=_linestyle(key),
        )
        for key in keys
    ]
    # Above the axes, where no curve can run through it.
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize="small")


def _linestyle(key: str) -> str:
    return ":" if key == "chance" else "-"


def _key_colours(keys: Sequence[str]) -> dict[str, str]:
    named = {key: BLUE if "dense" in key else VERMILION for key in keys if "dense" in key or "sparse" in key}
    rest = [key for key in keys if key not in named]
    totals = {key: GREY for key in rest if "_" not in key and len(keys) > 1 and not key[-1].isdigit()}
    others = [key for key in rest if key not in totals]
    return named | totals | {key: OTHERS[number % len(OTHERS)] for number, key in enumerate(others)}
