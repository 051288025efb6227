"""The documents' site: every page can be found from its menu, and its tables are tables."""

import importlib.util
import re
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


def written_pages() -> list[str]:
    """Return the names of all documents of the project."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no git checkout: which files are the project's is not known")
    return listed.stdout.split()


def tables(text: str) -> list[list[tuple[int, str]]]:
    """Return runs of lines that begin with a bar, outside of code, with their numbers."""
    found: list[list[tuple[int, str]]] = []
    fenced, last = False, -1
    for number, line in enumerate(text.splitlines(), 1):
        fenced ^= line.lstrip().startswith("```")
        if fenced or not line.lstrip().startswith("|"):
            continue
        if number != last + 1:
            found.append([])
        found[-1].append((number, line.strip()))
        last = number
    return found


def faults(table: list[tuple[int, str]]) -> list[str]:
    """Return what keeps these lines from being shown as one table: no head, or rows of another width."""
    widths = [len(re.findall(r"(?<!\\)\|", re.sub(r"`[^`]*`", "", line))) for _, line in table]
    ruled = len(table) > 1 and re.fullmatch(r"\|(\s*:?-+:?\s*\|)+", table[1][1])
    found = [] if ruled else [f"line {table[0][0]}: no head with a line of dashes below it"]
    return found + [
        f"line {number}: another number of cells than the head"
        for (number, _), width in zip(table, widths, strict=True)
        if width != widths[0]
    ]


def test_what_is_wrong_with_a_table_is_found():
    assert faults(tables("| a | b |\n| :-- | --: |\n| 1 | `x|y` |")[0]) == []
    assert tables("```\n| no table |\n```") == []
    assert faults(tables("| a | b |\n| :-- | --: |\n| 1 |")[0]) == ["line 3: another number of cells than the head"]
    parted = tables("| a | b |\n| :-- | --: |\n| 1 | 2 |\n\n| 3 | 4 |")
    assert [faults(table) for table in parted] == [[], ["line 5: no head with a line of dashes below it"]]


def test_every_table_of_the_documents_is_one():
    wrong = [
        f"{name}: {fault}"
        for name in written_pages()
        for table in tables((ROOT / name).read_text(encoding="utf-8"))
        for fault in faults(table)
    ]
    assert wrong == []


def links(text: str) -> list[str]:
    """Return what links outside of blocks of code lead to, but for addresses and places on the same page."""
    found = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [target.split("#")[0] for target in found if not re.match(r"[a-z]+:|#", target)]


def test_links_are_found():
    text = "[a](b.md#c) [`d`](../e.py) [f](https://g) [h](#i) ![j](k.png)\n```\n[n](o)\n```\n"
    assert links(text) == ["b.md", "../e.py", "k.png"]


def test_every_link_leads_to_what_is_there():
    lost = [
        f"{name}: {target}"
        for name in written_pages()
        for target in links((ROOT / name).read_text(encoding="utf-8"))
        if not (ROOT / name).parent.joinpath(target).exists()
    ]
    assert lost == []


def test_every_page_is_in_the_menu_and_every_entry_is_a_page():
    written = {name for name in written_pages() if not name.endswith(RESULTS_OF_A_PAGE)}
    menu = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    assert len(menu) == len(set(menu))
    assert set(menu) - {"reference/index.md"} == written


def test_the_reference_has_all_rooms():
    spec = importlib.util.spec_from_file_location("docs", ROOT / "tools" / "docs.py")
    docs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(docs)
    folders = {path.parent.name for path in (ROOT / "dualmode").glob("*/__init__.py")}
    assert set(docs.ROOMS) == folders | {""}
