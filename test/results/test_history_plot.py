"""The figure of a training: the data drawn are the data given, each value in its panel under a name people know."""

import pytest

from dualmode.errors import UserError
from dualmode.results.history_plot import group_keys, history_figure, plot_history
from dualmode.results.plots import BLUE, VERMILION

HISTORY = {
    "train": {"loss_dense": [(1, 200.0), (2, 20.0), (3, 5.0)], "loss_sparse": [(1, 220.0), (2, 30.0), (3, 8.0)]},
    "valid": {"loss_dense": [(1, 150.0), (2, 18.0), (3, 6.0)], "ter_sparse": [(1, 90.0), (3, 12.5)]},
}


def legend(axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_every_value_is_in_its_panel():
    losses, rates = history_figure(HISTORY, "x").axes
    lines = {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in losses.get_lines()}
    assert lines == {
        "train loss_dense": HISTORY["train"]["loss_dense"],
        "train loss_sparse": HISTORY["train"]["loss_sparse"],
        "valid loss_dense": HISTORY["valid"]["loss_dense"],
    }
    colours = {line.get_label(): line.get_color() for line in losses.get_lines()}
    assert colours["train loss_dense"] == colours["valid loss_dense"] == BLUE
    assert colours["train loss_sparse"] == VERMILION
    assert losses.get_ylabel() == "loss of a branch (nats), logarithmic" and losses.get_yscale() == "log"
    assert rates.get_ylabel() == "token error rate (%)" and rates.get_xlabel() == "epoch"


def test_the_legend_has_the_last_values_of_validation_where_there_are_some():
    losses, rates = history_figure(HISTORY, "x").axes
    assert legend(losses) == ["dense: 6", "sparse: 8"] and legend(rates) == ["12.5"]


def test_the_chosen_epoch_is_marked_in_every_panel():
    figure = history_figure(HISTORY, "x", chosen=2)
    for axes in figure.axes:
        assert [2, 2] in [list(line.get_xdata()) for line in axes.get_lines()]
        assert axes.get_xlim() == (0.5, 3.5)
    assert "best epoch: 2" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_legend_says_where_losses_are_of_one_branch_and_of_both():
    labels = [text.get_text() for text in history_figure(HISTORY, "x", in_turn=True).legends[0].get_texts()]
    assert labels == ["train, one branch an update", "valid, both"]


def test_chance_is_a_dotted_line_beside_the_accuracies():
    history = {"train": {"accuracy_dense": [(1, 0.2), (2, 0.4)], "chance": [(1, 0.03), (2, 0.02)]}, "valid": {}}
    (axes,) = history_figure(history, "t").axes
    lines = {line.get_label(): line for line in axes.lines}
    assert lines["train chance"].get_linestyle() == ":"
    assert list(lines["train chance"].get_ydata()) == [0.03, 0.02]
    assert legend(axes) == ["dense: 0.4", "chance: 0.02"]


def test_a_loss_that_is_not_positive_keeps_a_linear_axis():
    figure = history_figure({"train": {"loss": [(1, 100.0), (2, -1.0)]}, "valid": {}}, "x")
    assert figure.axes[0].get_yscale() == "linear"


def test_keys_find_their_panels():
    keys = [
        "optim0_lr0",
        "loss",
        "loss_distill",
        "loss_ctc_dense",
        "cer_dense",
        "wer",
        "accuracy_sparse",
        "perplexity0",
    ]
    keys += [
        "visible_loss_dense",
        "visible_accuracy_sparse",
        "edge_accuracy_dense",
        "temperature",
        "dead1",
        "grad_norm",
    ]
    assert {panel.label: members for panel, members in group_keys(keys).items()} == {
        "loss of CTC (nats)": ["loss_ctc_dense"],
        "loss of a branch (nats)": ["loss_distill"],
        "total loss (nats)": ["loss"],
        "word error rate (%)": ["wer"],
        "character error rate (%)": ["cer_dense"],
        "accuracy (share of 1)": ["accuracy_sparse"],
        "accuracy at the edges of spans": ["edge_accuracy_dense"],
        "loss of visible frames (nats)": ["visible_loss_dense"],
        "accuracy at visible frames": ["visible_accuracy_sparse"],
        "perplexity of the codes": ["perplexity0"],
        "dead codes (share of 1)": ["dead1"],
        "learning rate": ["optim0_lr0"],
        "norm of the gradient": ["grad_norm"],
        "temperature": ["temperature"],
    }


def test_a_png_is_written_and_nothing_to_draw_is_said(tmp_path):
    plot_history(HISTORY, tmp_path / "curves.png", "x")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(UserError, match="no values"):
        plot_history({"train": {}, "valid": {}}, tmp_path / "x.png", "x")


def test_audio_of_an_update_is_in_seconds_and_from_zero():
    (axes,) = history_figure({"train": {"audio_h": [(1, 0.005), (2, 0.0045)]}, "valid": {}}, "t").axes
    assert list(axes.get_lines()[0].get_ydata()) == [18.0, 16.2] and axes.get_ylim()[0] == 0
    assert axes.get_ylabel() == "audio an update (s)" and legend(axes) == ["16.2"]
