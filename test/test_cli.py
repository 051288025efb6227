"""What every command does with a mistake, with the operating system's answers and with readers that go away."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dualmode.cli import describe, existing_dir, make_parser, run
from dualmode.errors import UserError


def ended(error, capsys):
    def main(argv):
        raise error

    with pytest.raises(SystemExit) as end:
        run(main)
    return end.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (UserError("no such thing"), 2, "error: no such thing\n"),
        (PermissionError(13, "Permission denied", "a/b"), 2, "error: a/b: Permission denied\n"),
        (OSError(28, "No space left on device"), 2, "error: the operating system says: No space left on device\n"),
        (OSError(36, "File name too long", "x" * 300), 2, f"error: {'x' * 300}: File name too long\n"),
        (MemoryError(), 2, "error: out of memory: fewer --jobs, smaller batches or shorter audio need less\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_one_sentence_and_the_right_status(error, status, says, capsys, monkeypatch):
    monkeypatch.setattr("dualmode_runtime.cli._no_complaints_at_shutdown", lambda: None)
    assert ended(error, capsys) == (status, says)


def test_other_errors_keep_their_traceback(capsys):
    with pytest.raises(ZeroDivisionError):
        run(lambda argv: 1 / 0)


def test_a_name_is_said_only_where_there_is_one():
    assert describe(OSError("odd")) == "the operating system says: odd"


PROGRAM = "from dualmode.cli import run\ndef main(argv):\n    for i in range(20000): print(i)\nrun(main)"


def test_a_full_disk_behind_standard_output_is_one_sentence():
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", PROGRAM], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (2, "error: the operating system says: No space left on device\n")


def test_a_reader_that_goes_away_is_nobody_s_mistake():
    command = f"{sys.executable} -c '{PROGRAM}' | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (141, "0\n", "")


def test_an_option_that_is_misspelt_is_named_with_the_nearest_one(capsys):
    parser = make_parser("Score.", "score")
    parser.add_argument("--chunk-ms", type=float, help="chunk")
    for words, says in (
        (["--chunk", "3"], "there is no option --chunk; did you mean '--chunk-ms'?; dualmode score --help"),
        (["--chunk_ms=3"], "there is no option --chunk_ms; did you mean '--chunk-ms'?; dualmode score --help"),
        (["3"], "'3' is one word too many; dualmode score --help"),
        (["--chunk-ms", "x"], "argument --chunk-ms: invalid float value: 'x'; dualmode score --help"),
    ):
        with pytest.raises(SystemExit) as end:
            parser.parse_args(words)
        assert end.value.code == 2
        assert capsys.readouterr().err == f"error: {says} lists all options\n"


def test_a_name_that_is_not_utf8_is_refused_whatever_it_names(tmp_path):
    parser = make_parser("Score.", "score")
    parser.add_argument("audio", nargs="*")
    parser.add_argument_group("folders").add_argument("--out", type=Path)
    parser.add_argument("--data", type=existing_dir, nargs="+")
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    for words in (["--out", str(folder)], [f"--out={folder}/text"], ["--data", str(tmp_path), str(folder)]):
        for parse in (parser.parse_args, parser.parse_intermixed_args):
            with pytest.raises(UserError, match=r"caf\\udce9.*' is not UTF-8, .*: use another name"):
                parse(words)
    with pytest.raises(UserError, match="is not UTF-8"):
        existing_dir(str(folder))  # of a corpus's own program
    assert parser.parse_args([str(folder)]).audio == [str(folder)]  # each file has its own sentence


def test_a_description_is_filled_and_what_is_laid_out_is_not(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    text = make_parser("Counts\nwhat it is given, one after\nthe other.\n\nReads   a\n  b", "score").format_help()
    assert "Counts what it is given, one after the\nother.\n\nReads   a\n  b\n" in text
