import pytest

from dualmode.align.ctm import read_ctm, write_ctm
from dualmode.align.words import TimedWord
from dualmode.errors import UserError

WORDS = {"b": [TimedWord("stop", 40, 280)], "a": [TimedWord("größe", 0, 120), TimedWord("on", 2000, 2040)]}


def test_lines_are_sorted_and_in_seconds(tmp_path):
    write_ctm(tmp_path / "ctm", WORDS)
    assert (tmp_path / "ctm").read_text("utf-8") == "a 1 0.00 0.12 größe\na 1 2.00 0.04 on\nb 1 0.04 0.24 stop\n"


def test_what_was_written_is_read(tmp_path):
    write_ctm(tmp_path / "ctm", WORDS)
    assert read_ctm(tmp_path / "ctm") == WORDS


def test_comments_and_confidences_of_other_tools_are_passed_over(tmp_path):
    (tmp_path / "ctm").write_text(";; made elsewhere\nu 1 0.50 0.25 on 0.98\nu 1 0.10 0.20 turn 0.99\n")
    assert read_ctm(tmp_path / "ctm") == {"u": [TimedWord("turn", 100, 300), TimedWord("on", 500, 750)]}


@pytest.mark.parametrize(
    "line, message",
    [
        ("u 1 0.5 word", "is no line of a CTM"),
        ("u 1 early 0.1 word", "is no line of a CTM"),
        ("u 1 -0.5 0.1 word", "seconds from 0 on"),
        ("u 1 0.5 nan word", "seconds from 0 on"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    (tmp_path / "ctm").write_text(f"u 1 0.0 0.1 fine\n{line}\n")
    with pytest.raises(UserError, match=f"ctm:2.*{message}"):
        read_ctm(tmp_path / "ctm")


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_ctm(tmp_path / "none")
