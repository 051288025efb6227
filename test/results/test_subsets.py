"""Parts of a set, with figures by hand."""

import json

import pytest

from dualmode.bin.report import main
from dualmode.errors import UserError
from dualmode.results.decodes import read_decodes
from dualmode.results.subsets import markdown_section, read_subsets, subset_rows


def write(data, text):
    (data / "test" / "utt2subsets").write_text(text)


def test_every_part_has_its_own_words_and_errors(decoded, tmp_path):
    exp, data = decoded
    write(data, "u1 adult new_prompt\nu2 child new_prompt\n")
    rows = subset_rows(read_decodes(exp, data), data)
    figures = {(row["subset"], row["sparsity"]): (row["wer"], row["words"], row["utterances"]) for row in rows}
    # dense: "turn on the light" is right, "stop" became "stop it"; sparse: two errors in the first
    assert figures == {
        ("adult", 0.0): (0.0, 4, 1),
        ("child", 0.0): (100.0, 1, 1),
        ("new_prompt", 0.0): (20.0, 5, 2),
        ("adult", 0.7): (50.0, 4, 1),
        ("child", 0.7): (0.0, 1, 1),
        ("new_prompt", 0.7): (40.0, 5, 2),
    }
    lines = list(markdown_section(rows))
    assert "| test | adult | dense | full | 0.00 | 0/0/0 | 4 | 1 |" in lines
    assert "## Parts of the sets" in lines and list(markdown_section([])) == []


def test_an_utterance_may_be_in_no_part(decoded):
    exp, data = decoded
    write(data, "u1\nu2 child\n")
    assert read_subsets(data / "test" / "utt2subsets") == {"child": {"u2"}}
    assert read_subsets(data / "other" / "utt2subsets") == {}


def test_a_part_of_other_utterances_is_refused(decoded):
    exp, data = decoded
    write(data, "u3 child\n")
    with pytest.raises(UserError, match="utt2subsets: the subset child has no words in the set test"):
        subset_rows(read_decodes(exp, data), data)


def test_the_report_holds_them(decoded, tmp_path, capsys):
    exp, data = decoded
    parts = tmp_path / "data" / "test"
    parts.mkdir(parents=True)
    (parts / "utt2subsets").write_text("u2 child\n")
    main(["--exp", str(exp), "--data-dir", str(data), "--subsets-dir", str(tmp_path / "data")])
    assert "| test | child | dense | full | 100.00 | 0/0/1 | 1 | 1 |" in (exp / "RESULTS.md").read_text()
    assert [row["wer"] for row in json.loads((exp / "subsets.json").read_text())] == [100.0, 0.0]
    main(["--exp", str(exp), "--data-dir", str(data)])  # now without parts
    assert "Parts of the sets" not in (exp / "RESULTS.md").read_text() and not (exp / "subsets.json").exists()
