"""The command ``dualmode``: its table, its help, and what it says to a name that it does not know."""

import pkgutil
import subprocess
import sys

import pytest

import dualmode.bin
from dualmode.__main__ import help_lines, main
from dualmode.commands import BY_MODULE, COMMANDS
from dualmode.errors import UserError


def test_the_table_has_every_command_once():
    assert sorted(BY_MODULE) == sorted(module.name for module in pkgutil.iter_modules(dualmode.bin.__path__))
    assert len(BY_MODULE) == len(COMMANDS)


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_the_help_is_as_wide_as_the_terminal(columns):
    lines = "\n".join(help_lines(columns)).splitlines()
    assert columns - 12 < max(map(len, lines)) <= columns
    words = " ".join(lines).split()
    assert all(name in words for name in COMMANDS)


@pytest.mark.parametrize("words", [["score", "--help"], ["bench", "device", "--help"]])
def test_the_rest_of_the_line_is_the_sub_command_s(words, capsys):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 0 and capsys.readouterr().out.startswith(f"usage: dualmode {words[0]}")


def test_the_version_is_the_package_s(capsys):
    assert main(["--version"]) is None
    assert capsys.readouterr().out == f"dualmode {dualmode.__version__}\n"


def test_without_a_word_the_help_is_an_error(capsys):
    assert main([]) == 2
    assert "give a model away:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("trian", "there is no command 'trian'; did you mean 'train'"),
        ("asr_inference", "there is no command 'asr_inference'; did you mean 'decode'"),
        ("xyz", "there is no command 'xyz'; dualmode --help lists"),
        ("--verison", "there is no option '--verison'"),
    ],
)
def test_an_unknown_name_is_one_sentence(word, says):
    with pytest.raises(UserError, match=says.replace("?", r"\?")):
        main([word])


def test_the_help_of_all_imports_hardly_anything():
    check = "import sys; from dualmode.__main__ import main; main(['--help']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1]
    assert not [name for name in ("numpy", "torch", "yaml", "dualmode.bin") if f"'{name}'" in loaded]


def test_it_is_a_program():
    done = subprocess.run([sys.executable, "-m", "dualmode", "score", "--hpy"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1
