"""The papers at the front door: licence, citation and versions say the same everywhere."""

import re
import subprocess
import sys
from email.parser import Parser
from pathlib import Path

import yaml

import dualmode

ROOT = Path(__file__).parents[1]


def test_the_wheel_carries_the_licence_and_the_command(tmp_path):
    """The metadata of a wheel is what egg_info writes; files that it names as License-File are copied into it."""
    command = [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    metadata = Parser().parsestr((tmp_path / "dualmode.egg-info" / "PKG-INFO").read_text(encoding="utf-8"))
    assert metadata["Version"] == dualmode.__version__
    assert metadata["License"] == "Apache-2.0" or metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE"]
    scripts = (tmp_path / "dualmode.egg-info" / "entry_points.txt").read_text(encoding="utf-8")
    assert "dualmode = dualmode.__main__:program" in scripts
    assert "Version 2.0, January 2004" in (ROOT / "LICENSE").read_text(encoding="utf-8")


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
