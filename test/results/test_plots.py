"""Figures: the data drawn are the data given, and the files are PNG of the size asked for."""

import struct
import subprocess
import sys

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from dualmode.errors import UserError
from dualmode.results.importance_plot import importance_figure
from dualmode.results.plots import (
    DPI,
    layer_sparsity_figure,
    plot_layer_sparsity,
    plot_wer,
    wer_figure,
)

PARTS = [("ffn1", "up"), ("ffn1", "down"), ("attention", "qkv"), ("attention", "out"), ("convolution", "expand")]


def report(blocks):
    layers = [
        {"name": f"blocks.{b}.{kind}.{part}", "kind": kind, "shape": [16, 8], "kept_share": (b + i) / 50}
        for b in range(blocks)
        for i, (kind, part) in enumerate(PARTS)
    ]
    return {"layers": layers, "sparsity": 0.7, "granularity": "blocks of 8x4"}


def row(name, subnet, sparsity, wer):
    chunk = None if sparsity == 0 else 640
    context = {"chunk_ms": chunk, "lookahead_ms": chunk and 0, "left_ms": chunk and 1280}
    return {"set": name, "subnet": subnet, "sparsity": sparsity, "wer": wer, "words": 40} | context


ROWS = [
    row("a", "dense", 0, 2.5),
    row("a", "sparse", 0.7, 5.0),
    row("b", "dense", 0, 3.0),
    row("b", "sparse", 0.7, 8.0),
]


def png_size(path):
    header = path.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", header[16:24])


def bars(container):
    return [round(patch.get_x() + patch.get_width() / 2, 3) for patch in container], [p.get_height() for p in container]


def test_few_layers_are_bars():
    figure = layer_sparsity_figure(report(2))
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0, 2, 4, 6, 8, 2, 4, 6, 8, 10])
    assert axes.get_yticklabels()[2].get_text() == "blocks.0.attention.qkv  16 x 8"


def test_many_layers_are_a_map_of_layer_and_block():
    figure = layer_sparsity_figure(report(6))
    image = figure.axes[0].get_images()[0].get_array()
    assert image.tolist() == [pytest.approx([2 * (b + i) for b in range(6)]) for i in range(len(PARTS))]
    assert "0.00 M of 0.00 M prunable weights kept (9.0 %)" in figure.get_suptitle()


def test_bars_are_the_error_rates():
    (axes,) = wer_figure(ROWS).axes
    dense, sparse = axes.containers
    assert bars(dense) == ([-0.2, 0.8], [2.5, 3.0])
    assert bars(sparse) == ([0.2, 1.2], [5.0, 8.0])
    assert {"2.50", "5.00", "3.00", "8.00"} <= {text.get_text() for text in axes.texts}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a\n40 words", "b\n40 words"]


def test_a_bar_has_its_interval_where_there_is_one():
    rows = [ROWS[0] | {"speakers": 2, "wer_interval": [2.0, 3.5]}, ROWS[1], ROWS[2] | {"speakers": 1}]
    (axes,) = wer_figure(rows).axes
    segments = [line.get_segments() for line in axes.collections]
    assert segments[0][0][:, 1].tolist() == [2.0, 3.5]
    assert segments[0][1][:, 1].tolist() == [3.0, 3.0]  # one speaker: none
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "a\n40 words, 2 speakers",
        "b\n40 words, 1 speaker",
    ]


def test_two_searches_of_one_sub_network_have_bars_of_their_own():
    rows = [ROWS[0], ROWS[0] | {"wer": 2.0, "search": "beam 8"}, ROWS[2]]
    (axes,) = wer_figure(rows).axes
    greedy, beam = axes.containers
    assert bars(greedy) == ([-0.2, 0.8], [2.5, 3.0]) and bars(beam) == ([0.2], [2.0])
    assert [one.get_label() for one in axes.containers] == ["dense, full context", "dense, full context, beam 8"]
    assert greedy[0].get_facecolor() != beam[0].get_facecolor()


def test_long_names_of_sets_do_not_run_into_each_other():
    names = ["speechocean762_unheard_adults", "speechocean762_unheard_child"]
    figure = wer_figure([row(name, "dense", 0, 2.5) for name in names])
    FigureCanvasAgg(figure).draw()
    first, second = (label.get_window_extent() for label in figure.axes[0].get_xticklabels())
    assert first.x1 < second.x0


def test_layers_of_a_histogram_have_the_colours_of_its_legend():
    kept = {"0.3": [3, 2], "0.5": [1, 2], "0.7": [0, 1]}
    histogram = {"edges": [0, 1, 2], "kinds": {"ffn": {"groups": [4, 2], "kept": kept}}}
    figure = importance_figure(histogram, "units")
    colours = [patch.get_facecolor() for patch in figure.axes[0].patches]
    assert len(set(colours)) == 4 and {colour[3] for colour in colours} == {1.0}  # opaque


def test_a_missing_combination_has_no_bar():
    (axes,) = wer_figure(ROWS[:3]).axes
    assert bars(axes.containers[1]) == ([0.2], [5.0])


@pytest.mark.parametrize(
    "draw, figure",
    [
        (lambda path: plot_layer_sparsity(report(6), path), lambda: layer_sparsity_figure(report(6))),
        (lambda path: plot_wer(ROWS, path), lambda: wer_figure(ROWS)),
    ],
)
def test_files_are_png_of_the_figures_size(tmp_path, draw, figure):
    draw(tmp_path / "figure.png")
    expected = [int(inches * DPI) for inches in figure().get_size_inches()]
    assert list(png_size(tmp_path / "figure.png")) == expected
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]


def test_nothing_to_draw_is_said(tmp_path):
    with pytest.raises(UserError, match="no layer"):
        plot_layer_sparsity({"layers": [], "sparsity": 0.7, "granularity": "blocks of 8x4"}, tmp_path / "x.png")
    with pytest.raises(UserError, match="no result"):
        plot_wer([], tmp_path / "x.png")


def test_importing_the_module_does_not_import_matplotlib():
    code = "import sys, dualmode.results.plots; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
