import tracemalloc

import pytest

from dualmode.data.kaldi_dir import Utterance, open_kaldi_dir, read_table, write_kaldi_dir
from dualmode.errors import UserError


def test_written_folder_reads_back_sorted_in_c_order(tmp_path):
    utt2spk = {"b-1": "b", "a_1": "a", "a-1": "a", "B-1": "B"}
    write_kaldi_dir(tmp_path, {utt: f"/x/{utt}.wav" for utt in utt2spk}, utt2spk, dict.fromkeys(utt2spk, "hi"))
    assert (tmp_path / "utt2spk").read_text() == "B-1 B\na-1 a\na_1 a\nb-1 b\n"
    assert (tmp_path / "spk2utt").read_text() == "B B-1\na a-1 a_1\nb b-1\n"
    read = list(open_kaldi_dir(tmp_path).utterances())
    assert [utterance.utt for utterance in read] == ["B-1", "a-1", "a_1", "b-1"]
    assert read[2] == Utterance("a_1", "/x/a_1.wav", "a", "hi", None)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a 1\na 2\n", ":2: the id a comes twice"),
        (b"b 1\na 2\n", ":2: a comes after b: sort the file with LC_ALL=C sort"),
        (b"a 1\nB 2\n", "LC_ALL=C"),
        (b"a ok\nb caf\xe9\n", ":2: byte 0xe9 at column 6 is not UTF-8"),
        (b"a 1\r\n", "Windows line end"),
        (b"a 1\n\nb 2\n", ":2: the line is empty"),
        (b"a 1\nb 2", "cut off"),
    ],
)
def test_malformed_tables_are_named_by_file_and_line(tmp_path, content, says):
    path = tmp_path / "text"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_table(path)
    assert str(path) in str(error.value) and says in str(error.value)


def test_only_blanks_and_tabs_part_id_and_value(tmp_path):
    path = tmp_path / "text"
    path.write_text("a \tone two\tthree \n", encoding="utf-8", newline="\n")
    assert read_table(path) == {"a": "one two\tthree"}


@pytest.mark.parametrize("command", ["sox a.wav -t wav - |", "| touch hacked"])
def test_commands_in_wav_scp_are_refused(good_dir, command):
    (good_dir / "wav.scp").write_text(f"a-0 {command}\n")
    with pytest.raises(UserError, match="wav.scp:1: a-0 is a command"):
        list(open_kaldi_dir(good_dir).utterances())


def test_segments_are_refused(good_dir):
    (good_dir / "segments").write_text("a-0 rec 0.0 1.0\n")
    with pytest.raises(UserError, match="segments is not supported"):
        list(open_kaldi_dir(good_dir).utterances())


def test_missing_text_is_refused_unless_none_is_expected(good_dir):
    (good_dir / "text").unlink()
    with pytest.raises(UserError, match="--no-text"):
        open_kaldi_dir(good_dir)
    unlabelled = open_kaldi_dir(good_dir, with_text=False).utterances()
    assert {utterance.text for utterance in unlabelled} == {None}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("spk2utt", "a a-0 a-1 a-2\n", "a-3 no speaker, utt2spk gives it a"),
        ("spk2utt", "b a-0 a-1 a-2 a-3\n", "a-0 b, utt2spk gives it a"),
        ("spk2utt", "a a-0 a-0 a-1 a-2 a-3\n", "listed twice"),
        ("utt2dur", "zz 1.0\n", "names the utterance zz"),
        ("utt2dur", "a-0 soon\n", "'soon'"),
        ("utt2dur", "a-0 nan\n", "'nan'"),
        ("utt2spk", "a-0 a b\n", "more than one speaker"),
    ],
)
def test_files_that_disagree_are_an_error(good_dir, name, content, says):
    (good_dir / name).write_text(content)
    with pytest.raises(UserError) as error:
        list(open_kaldi_dir(good_dir).utterances())
    assert says in str(error.value)


def test_a_folder_of_any_size_is_read_in_the_same_memory(tmp_path):
    utts = [f"reader-{number:06d}" for number in range(20_000)]
    write_kaldi_dir(
        tmp_path, {utt: f"/x/{utt}.flac" for utt in utts}, dict.fromkeys(utts, "reader"), dict.fromkeys(utts, "HI")
    )
    (tmp_path / "spk2utt").unlink()  # all its utterances are one line
    tracemalloc.start()
    assert sum(1 for _ in open_kaldi_dir(tmp_path).utterances()) == 20_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000  # the lists are 1.8 MB as files, and many times that as dictionaries
