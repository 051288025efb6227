"""The papers at the front door: licence, citation and versions say the same everywhere."""

import importlib
import re
from pathlib import Path

import pytest
import yaml

import dualmode
import dualmode_runtime
from dualmode.extras import EXTRA_OF

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("folder, package", [(".", dualmode), ("runtime", dualmode_runtime)])
def test_both_packages_say_the_same(folder, package):
    """What stands in their metadata; tools/wheels.sh builds them and looks into the wheels."""
    text = (ROOT / folder / "pyproject.toml").read_text(encoding="utf-8")
    assert 'license = "Apache-2.0"\nlicense-files = ["LICENSE"]' in text
    assert (ROOT / folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert package.__version__ == dualmode.__version__ and f'{{ attr = "{package.__name__}.__version__" }}' in text
    scripts = re.findall(r'^[\w-]+ = "([\w.]+):(\w+)"$', text.partition("[project.scripts]")[2], re.M)
    assert scripts and all(callable(getattr(importlib.import_module(module), name)) for module, name in scripts)
    assert "Version 2.0, January 2004" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_extras_are_those_that_errors_name():
    """Every package that an error sends for is in the extra that it names."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[project.optional-dependencies]")[2]
    extras = dict(re.findall(r"^(\w+) = \[(.*?)\](?: #[^\n]*)?$", text.partition("\n[tool")[0], re.M | re.S))
    for module, extra in EXTRA_OF.items():
        names = {name.replace("-", "_") for name in re.findall(r'"([\w-]+)[<>=]', extras[extra])}
        assert {"espnet2": "espnet"}.get(module, module) in names, (module, extra)


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software" and citation["license"] == "Apache-2.0"
    assert citation["title"] == "dualmode" and citation["version"] == dualmode.__version__
    (paper,) = citation["references"]
    assert len(paper["authors"]) == 6 and "2207.11906" in paper["url"]


def test_the_changelog_begins_with_what_is_not_released_yet():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[?([\w.]+)", text, re.M)[0] == "Unreleased" and dualmode.__version__ in text


def test_every_file_that_the_documents_name_is_there():
    """Paths in backticks and targets of links; what a reader has to write is not looked for."""
    missing = []
    for page in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        links = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
        missing += [f"{page}: {link}" for link in links if link and not (ROOT / page).parent.joinpath(link).exists()]
        for path in re.findall(r"`((?:dualmode|runtime|egs|test|tools|docs|conf)/[\w./-]+)`", text):
            places = [ROOT, *ROOT.glob("egs/*")] if path.startswith("conf/") else [ROOT]  # a corpus has a conf/, too
            if "yours" not in path and "NAME" not in path and not any((place / path).exists() for place in places):
                missing.append(f"{page}: {path}")
    assert not missing
