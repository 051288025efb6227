"""--help of every command, and of every benchmark: as wide as the terminal, with defaults and units, in English."""

import argparse
import importlib
import pkgutil
import re

import pytest

import dualmode.bin
from dualmode.bin.bench import BENCHES

NAMES = [module.name for module in pkgutil.iter_modules(dualmode.bin.__path__)]
# What a number of an option may be of; shares and weights have no unit.
UNITS = {"MS", "S", "MIN", "H", "HZ", "KB", "MB", "PERCENT", "N", "X", "SHARE", "RATE"}
STRAY = re.compile(
    r"None|PosixPath|SUPPRESS|<class|\bTrue\b|\bFalse\b|\[\]|\{\}|``|:\w+:`|'\]|default: \)|\.0\)|dualmode\.bin|%\("
)


def parser_of(name: str) -> argparse.ArgumentParser:
    """Return the parser of a module of dualmode/bin, or of "bench NAME"."""
    module, _, bench = name.partition(" ")
    get_parser = importlib.import_module(f"dualmode.bin.{module}").get_parser
    if not bench:
        return get_parser()
    (benches,) = (a for a in get_parser(bench)._actions if isinstance(a, argparse._SubParsersAction))
    return benches.choices[bench]


@pytest.fixture(scope="module", params=[*NAMES, *(f"bench {name}" for name in BENCHES)])
def parser(request):
    return parser_of(request.param)


def shown(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return what its help lists, but for --help."""
    return [action for action in parser._actions if action.help != argparse.SUPPRESS and action.dest != "help"]


def words(parser: argparse.ArgumentParser) -> str:
    return " ".join(parser.format_help().split())


def line_of(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """Return what the help says of one option, default and all."""
    formatter = parser._get_formatter()
    return formatter._expand_help(action)


@pytest.mark.parametrize("columns", [72, 80, 120])
def test_no_line_is_wider_than_the_terminal(parser, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert [line for line in parser.format_help().splitlines() if len(line) > columns] == []


def test_nothing_of_python_is_left_in_it(parser):
    assert STRAY.findall(words(parser)) == []
    assert parser.description[0].isupper() and parser.description.rstrip()[-1] in ".`:?" or "\n  " in parser.description


def test_what_an_option_takes_has_a_name(parser):
    """FILE, MS: not the option's own name in capitals, which says nothing."""
    unnamed = [a.dest for a in shown(parser) if a.nargs != 0 and not a.metavar and not a.choices]
    assert unnamed == []


def test_explanations_are_phrases(parser):
    """They begin without a capital, but for names, and need no full stop; two of them make a sentence of their own."""
    assert [a.help for a in shown(parser) if a.help.endswith(".") or "  " in a.help or not a.help.strip()] == []


def numbers(parser):
    numeric = [a for a in shown(parser) if a.type in (int, float) and a.option_strings and not a.choices]
    return [a for a in numeric if not a.required]


def test_numbers_have_units(parser):
    assert [a.dest for a in numbers(parser) if a.metavar not in UNITS] == []
    for action in numbers(parser):
        unit = action.dest.rpartition("_")[2].upper()
        assert unit not in {"MS", "HZ", "S", "KB", "MB", "PERCENT"} or action.metavar == unit, action.dest


def test_numbers_and_choices_have_defaults(parser):
    chosen = [a for a in shown(parser) if a.choices and a.option_strings and not a.required]
    assert [a.dest for a in (*numbers(parser), *chosen) if "default" not in line_of(parser, a)] == []


def test_what_may_be_left_out_says_what_happens_then(parser):
    """A path or name without a default is something more to be done; the default of the others is said."""
    usual = [a for a in shown(parser) if a.option_strings and a.nargs != 0 and a.default not in (None, [], "", {})]
    assert [a.dest for a in usual if "default" not in line_of(parser, a)] == []
