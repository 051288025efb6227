"""One rule for blanks and the ends of lines, whoever reads the list."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dualmode.align.ctm import read_ctm
from dualmode.bin.make_tokens import main as make_tokens
from dualmode.bin.validate_data import main as validate
from dualmode.data.features import FeatureTable
from dualmode.data.kaldi_dir import read_table
from dualmode.data.tokens import Tokenizer
from dualmode.errors import UserError
from dualmode.lines import check_blanks, printable, words
from dualmode.results.text import read_text
from dualmode.search.options import read_phrases
from dualmode_runtime.tables import iterate_wav_scp

# All characters at which str.split, bytes.split, str.splitlines or universal newlines part what we do not.
ODD = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace() and chr(code) not in " \t\n"] + ["\0"]
ROOT = Path(__file__).parents[1]
PATHS = f"{ROOT}:{ROOT / 'runtime'}"


def test_every_character_that_python_takes_for_a_blank_is_ours_or_refused():
    assert {"\u00a0", "\u3000", "\u2009", "\x85", "\x1c", "\r"} <= set(ODD) and len(ODD) == 27
    assert all(len(f"a{sign}b".splitlines()) == 1 or sign in ODD for sign in map(chr, range(0x3000)) if sign != "\n")
    for sign in ODD:
        with pytest.raises(UserError, match="^here: .* at column 2 .* for some programs"):
            check_blanks(f"a{sign}b", "here")
    check_blanks("turn\ton  the light, 東京 caf\u00e9 a\u200db", "here")


READERS = {
    "table": (read_table, "u a{}b\n"),
    "table's id": (read_table, "u{}1 a\n"),
    "wav.scp's id": (lambda path: list(iterate_wav_scp(path)), "u{}1 a.wav\n"),
    "feats.scp's id": (FeatureTable, "u{}1 a.ark:2\n"),
    "transcripts": (read_text, "u a{}b\n"),
    "word times": (read_ctm, "u 1 0.0 0.1 a{}b\n"),
    "hotwords": (read_phrases, "a{}b\n"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("sign", ["\u00a0", "\u3000", "\u2028", "\x85", "\x1f", "\r"], ids=ascii)
def test_all_readers_refuse_it_with_file_and_line(tmp_path, reader, sign):
    read, line = READERS[reader]
    (tmp_path / "list").write_text(line.format(sign), encoding="utf-8", newline="")
    with pytest.raises(UserError, match=f"{re.escape(str(tmp_path / 'list'))}:1: .*for some programs"):
        read(tmp_path / "list")


def test_a_file_may_have_a_no_break_space_in_its_name(tmp_path):
    (tmp_path / "wav.scp").write_text("u 10.15\u202fPM.wav\n", encoding="utf-8")
    assert list(iterate_wav_scp(tmp_path / "wav.scp")) == [("u", "10.15\u202fPM.wav")]


@pytest.mark.parametrize("kind", ["char", "word", "bpe"])
def test_tokens_and_scores_have_the_same_words(tmp_path, kind):
    (tmp_path / "text").write_text("u1 turn\ton  the light\nu2 light on\n")
    options = ["--vocab-size", "16"] if kind == "bpe" else []
    make_tokens(["--text", str(tmp_path / "text"), "--type", kind, "--out", str(tmp_path / "tokens"), *options])
    tokenizer = Tokenizer.load(tmp_path / "tokens")
    for utt, said in read_text(tmp_path / "text").items():
        text = read_table(tmp_path / "text")[utt]
        assert tuple(words(text)) == said == tuple(words(tokenizer.decode(tokenizer.encode(text))))


def test_validation_names_what_the_rule_cannot_take(tmp_path):
    for name, value in (("wav.scp", "a.wav"), ("utt2spk", "s"), ("text", "turn\u00a0on")):
        (tmp_path / name).write_text(f"u {value}\n", encoding="utf-8")
    with pytest.raises(UserError, match="text:1: .*NO-BREAK SPACE.* at column 7 is a blank .*: write a space"):
        validate([str(tmp_path)])


@pytest.mark.parametrize(
    "token", ["", "a b", "a\tb", "a\u00a0b", "\u3000", "\x1b]0;pwned\x07", "\x9b2J", "\u202e", "a\x7f"]
)
def test_tokens_that_are_none(tmp_path, token):
    (tmp_path / "tokens.txt").write_text(f"<blank>\n<unk>\n{token}\nb\n", encoding="utf-8", newline="")
    (tmp_path / "tokens.json").write_text('{"type": "word"}')
    with pytest.raises(UserError, match=r"tokens.txt:3"):
        Tokenizer.load(tmp_path)


def test_what_drives_a_terminal_is_shown():
    hostile = "\x1b[2J \x9b1m \u202ereversed\u2066 \x07\b\r \x7f \ud800"
    assert printable(hostile).isascii()
    assert json.loads(f'"{printable(hostile)}"') == hostile
    assert printable("été\t東京 a\u200db\n") == "été\t東京 a\u200db\n"


PROGRAM = "from dualmode.cli import run\nfrom dualmode.errors import UserError\ndef main(argv):\n    {}\nrun(main)\n"


def run_program(tmp_path, body: str, **environment) -> subprocess.CompletedProcess:
    (tmp_path / "program.py").write_text(PROGRAM.format(body), encoding="utf-8")
    command = [sys.executable, str(tmp_path / "program.py")]
    return subprocess.run(command, env={"PYTHONPATH": PATHS, **environment}, capture_output=True, timeout=60)


def test_errors_and_output_do_not_drive_the_terminal(tmp_path):
    said = run_program(tmp_path, r"print('\x1b]0;a\x07'); raise UserError('no file \x1b[2Jx')")
    assert (said.returncode, said.stdout, said.stderr) == (
        2,
        b"\\u001b]0;a\\u0007\n",
        b"error: no file \\u001b[2Jx\n",
    )


@pytest.mark.parametrize("locale", ["C", "POSIX", "tr_TR.UTF-8", "de_DE.ISO-8859-1"])
@pytest.mark.parametrize("coerced", [{}, {"PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}], ids=["", "as it is"])
def test_the_locale_changes_nothing(tmp_path, locale, coerced):
    (tmp_path / "caf\u00e9").write_text("here", encoding="utf-8")
    said = run_program(
        tmp_path, f"print(open('{tmp_path}/caf\u00e9').read(), '東京 I'.lower())", LC_ALL=locale, **coerced
    )
    assert (said.returncode, said.stdout.decode()) == (0, "here 東京 i\n"), said.stderr


def test_modules_in_the_current_folder_are_not_run(tmp_path):
    for name in ("torch", "numpy", "yaml", "kaldiio", "soundfile", "sentencepiece", "argparse"):
        (tmp_path / f"{name}.py").write_text(f"print('{name} of a stranger')\n")
    command = [sys.executable, "-m", "dualmode.bin.validate_data", "nothing"]
    said = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": PATHS}, capture_output=True, timeout=60)
    assert b"stranger" not in said.stdout + said.stderr
