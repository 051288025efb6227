"""What all commands share."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys

import pytest

import dualmode.bin
from dualmode.commands import BY_MODULE

NAMES = [module.name for module in pkgutil.iter_modules(dualmode.bin.__path__)]


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_explained(name):
    parser = importlib.import_module(f"dualmode.bin.{name}").get_parser()
    assert parser.description and parser.prog == f"dualmode {BY_MODULE[name].name}"
    unexplained = [action.dest for action in parser._actions if not action.help]
    assert not unexplained
    assert parser.format_help()


MARKS = ('"""', "'''", "def ", "import ")
# Calls, too: English has none that fill a line.  A bare word, "training", is an expression, and is English.
STATEMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return, ast.Import, ast.ImportFrom, ast.FunctionDef)


def code_in(text):
    """Return the lines of a description that are Python rather than English; a line of shell is neither."""
    return [line for line in text.splitlines() if any(mark in line for mark in MARKS) or is_statement(line.strip())]


def is_statement(line):
    if line.endswith(":"):  # the head of a block: "with open(path) as file:"; a word before a list is no head
        line = f"{line} pass" if re.search(r"[()=]", line) else line
    try:
        body = ast.parse(line).body
    except (SyntaxError, ValueError):
        return False
    calls = [node for node in body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    return bool(calls) or any(isinstance(node, (*STATEMENTS, ast.With, ast.For, ast.If, ast.While)) for node in body)


@pytest.mark.parametrize(
    "line",
    [
        "    figures = [name for name in names if (args.exp / name).is_file()]",
        '    write_lines(args.exp / "RESULTS.md", results_page(args.title, notes))',
        "def get_parser():",
        "from pathlib import Path",
        "return parser",
        "    if not (args.command):",
        '"""Score every set.',
    ],
)
def test_code_is_told_from_english(line):
    assert code_in(f"Score every set.\n\n{line}\nand prints the table.") == [line]


@pytest.mark.parametrize("name", NAMES)
def test_a_description_is_english(name):
    parser = importlib.import_module(f"dualmode.bin.{name}").get_parser()
    texts = [parser.description, parser.epilog or "", *(action.help or "" for action in parser._actions)]
    assert not [line for text in texts for line in code_in(text)]


def test_help_needs_neither_torch_nor_espnet():
    imports = "; ".join(f"import dualmode.bin.{name}" for name in NAMES)
    check = f"import sys; {imports}; print([m for m in ('torch', 'espnet2', 'matplotlib') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_help_of_benchmarks_says_nothing_of_espnet():
    """What it prints when it is imported would be the first line of the help."""
    options = "from dualmode.bin.bench import BENCHES, get_parser; parsers = [get_parser(name) for name in BENCHES]"
    check = f"import sys; {options}; print([m for m in ('espnet', 'espnet2') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
