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


@pytest.mark.parametrize("sign", ["\u00a0", "\u3000", "\u2028", "\x1f", "\v"])
def test_what_only_some_programs_take_for_a_blank_is_named(tmp_path, sign):
    (tmp_path / "text").write_text(f"u 10{sign}km\n", encoding="utf-8", newline="")
    with pytest.raises(UserError, match=r"text:1: .* at column 5 .* for some programs and not for others"):
        read_text(tmp_path / "text")


def test_an_empty_file_has_no_utterances(tmp_path):
    (tmp_path / "text").write_bytes(b"")
    assert read_text(tmp_path / "text") == {}


@pytest.mark.parametrize(
    "content, message",
    [
        (b"u1 a\nu2 caf\xe9\n", "text:2: byte 0xe9 at column 7 is not UTF-8"),
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
