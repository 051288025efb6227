"""Kaldi text files, good and bad."""

import pytest

from dualmode.errors import UserError
from dualmode.results.text import read_text


def test_words_of_each_utterance_in_the_files_order(tmp_path):
    (tmp_path / "text").write_bytes("b turn  on\tthe light\r\na\nc été".encode())
    assert list(read_text(tmp_path / "text").items()) == [
        ("b", ("turn", "on", "the", "light")),
        ("a", ()),
        ("c", ("été",)),
    ]


def test_only_ascii_blanks_separate_words_and_only_newlines_separate_lines(tmp_path):
    (tmp_path / "text").write_bytes("u 10\u00a0km 東\u3000京 a\u2028b\n".encode())
    assert read_text(tmp_path / "text") == {"u": ("10\u00a0km", "東\u3000京", "a\u2028b")}


def test_an_empty_file_has_no_utterances(tmp_path):
    (tmp_path / "text").write_bytes(b"")
    assert read_text(tmp_path / "text") == {}


@pytest.mark.parametrize(
    "content, message",
    [
        (b"u1 a\nu2 caf\xe9\n", "text:2 is not UTF-8"),
        (b"u1 a\nu2 b\nu1 c\n", "text:3 has utterance 'u1' a second time"),
        (b"u1 a\n\nu2 b\n", "text:2 is empty"),
        (b"\xef\xbb\xbfu1 a\n", "byte-order mark"),
    ],
)
def test_faults_are_named_with_their_line(tmp_path, content, message):
    (tmp_path / "text").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_text(tmp_path / "text")


def test_a_folder_is_not_a_text(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_text(tmp_path)
