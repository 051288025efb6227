"""Emission delays in the results: read, shown where they were measured, blank where not."""

import json

import pytest

from dualmode.errors import UserError
from dualmode.results.decodes import read_decodes
from dualmode.results.delay_plot import delay_figure
from dualmode.results.delay_table import markdown_section

FOUND = {
    "word": {"count": 4, "mean_ms": 410.25, "p50_ms": 400.0, "p90_ms": 650.0},
    "first_token": {"count": 2, "mean_ms": 700.0, "p50_ms": 700.0, "p90_ms": 740.0},
    "last_token": None,
}


def test_measured_delays_are_in_the_row_and_the_table(decoded):
    exp, data = decoded
    (exp / "decode_sparse_test" / "emission_delay.json").write_text(json.dumps(FOUND))
    rows = [decode.row() for decode in read_decodes(exp, data)]
    assert [row["emission_delay"] for row in rows] == [None, None, None, FOUND]
    lines = list(markdown_section(rows))
    assert len([line for line in lines if line.startswith("| test")]) == 1  # the dense one hears whole utterances
    assert any(line.endswith("| 4 | 410 | 400 | 650 | 700 | 700 | 740 |  |  |  |") for line in lines)
    assert any(line.startswith("| other") and line.endswith("left 1280 ms |" + "  |" * 10) for line in lines)


def test_where_nothing_was_measured_there_is_no_table(decoded):
    assert list(markdown_section(decode.row() for decode in read_decodes(*decoded))) == []


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps(FOUND | {"word": {"count": 1}})])
def test_a_damaged_file_is_one_sentence(decoded, content):
    (decoded[0] / "decode_sparse_test" / "emission_delay.json").write_text(content)
    with pytest.raises(UserError, match="emission_delay.json .*run dualmode emission-delay"):
        read_decodes(*decoded)


def test_the_histogram_counts_every_word():
    row = {"set": "test", "sparsity": 0.7, "chunk_ms": 640, "lookahead_ms": 0, "left_ms": 1280}
    (axes,) = delay_figure([-30.0, 0.0, 10.0, 39.0, 40.0, 200.0], row).axes
    left = [round(patch.get_x()) for patch in axes.patches if patch.get_height()]
    assert left == [-40, 0, 40, 200]
    assert [patch.get_height() for patch in axes.patches if patch.get_height()] == [1, 3, 1, 1]
