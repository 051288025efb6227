"""The documents' site: every page can be found from its menu."""

import importlib.util
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
RESULTS_OF_A_PAGE = ("results/rnnt/RESULTS.md",)  # reached from the page of their corpus


def pages(nav) -> list[str]:
    """Return the files of a menu, whatever its depth."""
    if isinstance(nav, str):
        return [nav]
    return [page for entry in (nav.values() if isinstance(nav, dict) else nav) for page in pages(entry)]


def test_every_page_is_in_the_menu_and_every_entry_is_a_page():
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no git checkout: which files are the project's is not known")
    written = {name for name in listed.stdout.split() if not name.endswith(RESULTS_OF_A_PAGE)}
    menu = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    assert len(menu) == len(set(menu))
    assert set(menu) - {"reference/index.md"} == written


def test_the_reference_has_all_rooms():
    spec = importlib.util.spec_from_file_location("docs", ROOT / "tools" / "docs.py")
    docs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(docs)
    folders = {path.parent.name for path in (ROOT / "dualmode").glob("*/__init__.py")}
    assert set(docs.ROOMS) == folders | {""}
