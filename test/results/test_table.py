"""The words and numbers of the table."""

import pytest

from dualmode.results.table import context, markdown_table, terminal_table, weights

SPARSE = {
    "set": "test",
    "sparsity": 0.7,
    "chunk_ms": 640,
    "lookahead_ms": 0,
    "left_ms": 1280,
    "wer": 6.005,
    "cer": 2.0,
    "sub": 10,
    "del": 2,
    "ins": 3,
    "words": 250,
    "params_total": 2_512_345,
    "params_kept": 1_210_000,
    "bytes": 5_123_456,
    "rtf": 0.0524,
}
DENSE = SPARSE | {"sparsity": 0, "chunk_ms": None, "lookahead_ms": None, "left_ms": None, "params_kept": 2_512_345}


def test_markdown():
    assert markdown_table([DENSE, SPARSE]) == [
        "| set | weights | context | WER % | S/D/I | words | CER % | parameters kept | bytes stored | RTF |",
        "| :-- | :-- | :-- | --: | --: | --: | --: | --: | --: | --: |",
        "| test | dense | full | 6.00 | 10/2/3 | 250 | 2.00 | 2.51 M of 2.51 M | 5.1 MB | 0.052 |",
        "| test | sparse 70 % pruned | chunk 640 ms, look-ahead 0 ms, left 1280 ms "
        "| 6.00 | 10/2/3 | 250 | 2.00 | 1.21 M of 2.51 M | 5.1 MB | 0.052 |",
    ]


def test_terminal_columns_are_aligned_and_narrow_even_for_a_large_model():
    large = {"params_total": 118_400_000, "params_kept": 40_120_000, "bytes": 473_600_000, "words": 52576}
    row = SPARSE | large | {"set": "test_unseen_speaker", "sub": 1234, "del": 456, "ins": 789}
    lines = terminal_table([DENSE, row])
    assert {len(line) for line in lines} == {len(lines[0])}
    assert len(lines[0]) <= 150
    assert lines[3].split()[:6] == "test_unseen_speaker sparse 70 % chunk 640".split()


@pytest.mark.parametrize("sparsity, words", [(0.755, "sparse 75.5 % pruned"), (0.5, "sparse 50 % pruned")])
def test_weights(sparsity, words):
    assert weights(sparsity) == words


def test_a_left_context_without_limit():
    assert context(320, 40, None) == "chunk 320 ms, look-ahead 40 ms, left unlimited"


def test_a_bar_in_a_name_does_not_break_the_table():
    assert "| a\\|b |" in markdown_table([DENSE | {"set": "a|b"}])[-1]
