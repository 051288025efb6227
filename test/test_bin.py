"""What all commands share."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

import dualmode.bin

NAMES = [module.name for module in pkgutil.iter_modules(dualmode.bin.__path__)]


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_explained(name):
    parser = importlib.import_module(f"dualmode.bin.{name}").get_parser()
    assert parser.description and parser.prog == f"python -m dualmode.bin.{name}"
    unexplained = [action.dest for action in parser._actions if not action.help]
    assert not unexplained
    assert parser.format_help()


def test_help_needs_neither_torch_nor_espnet():
    imports = "; ".join(f"import dualmode.bin.{name}" for name in NAMES)
    check = f"import sys; {imports}; print([m for m in ('torch', 'espnet2', 'matplotlib') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
