"""Build the documents as a site: build/site/index.html.

    python tools/docs.py [--serve]

The site is this repository as pages: every tracked text and picture at its own path, so that a link in a page is the
link in the repository, and a reference of the package made from its docstrings without importing it. What the pages
show of results is what is committed. Nothing is fetched, by the build or by the pages.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TREE = ROOT / "build" / "docs"
ROOMS = {  # of the floor plan in docs/architecture.md, from the top
    "": "The Python API and what all rooms share",
    "server": "Many people at once: HTTP and WebSockets",
    "decoding": "Audio in, text out",
    "search": "Greedy and beam search, language models, hotwords",
    "models": "Model folders",
    "export": "Files for sherpa-onnx",
    "device": "The device file and its engine",
    "align": "Word times and delays",
    "tasks": "Trainings, inside ESPnet",
    "asr": "The recogniser",
    "pretrain": "The pre-training",
    "encoder": "Conformer and two branches",
    "supernet": "Sub-networks and masks",
    "data": "Kaldi folders, features, tokens",
    "results": "Scores, tables, figures",
    "cluster": "Jobs",
    "bench": "Benchmarks",
    "bin": "Commands, one a file",
}
RUNTIME = "dualmode_runtime"  # a package of its own
SKIPPED = ("test/", ".ci/")


def tracked() -> list[Path]:
    """Return the files of the repository, relative to its root."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [
        Path(name) for name in listed.split("\0") if name and not name.startswith(SKIPPED) and (ROOT / name).is_file()
    ]


def modules(room: str, files: list[Path]) -> list[str]:
    """Return the names of the modules of a room, those of its folders too."""
    if room == RUNTIME:
        inside = [path.relative_to("runtime") for path in files if path.parts[:2] == ("runtime", RUNTIME)]
        return [".".join(p.with_suffix("").parts) for p in inside if p.suffix == ".py" and p.stem[:2] != "__"]
    folder = Path("dualmode", room) if room else Path("dualmode")
    own = [
        path
        for path in files
        if path.suffix == ".py"
        and (folder in path.parents if room else path.parent == folder)
        and path.stem[:2] != "__"
    ]
    return [".".join(path.with_suffix("").parts) for path in own]


def write_reference(files: list[Path]) -> None:
    """Write a page for each room, which names its modules for mkdocstrings."""
    folder = TREE / "reference"
    folder.mkdir(parents=True)
    lines = [
        "# Reference",
        "",
        "Made from the docstrings. How the rooms hang together is in",
        "[architecture](../docs/architecture.md).",
        "",
    ]
    for room, about in {**ROOMS, RUNTIME: "The package below: device files, audio, what all rooms share"}.items():
        name = room or "dualmode"
        title = room if room == RUNTIME else f"dualmode.{room}" if room else name
        page = [f"# {title}", "", f"{about}.", ""]
        for module in modules(room, files):
            page += [f"## {module}", "", f"::: {module}", ""]
        (folder / f"{name}.md").write_text("\n".join(page), encoding="utf-8")
        lines.append(f"- [{title}]({name}.md): {about}")
    (folder / "index.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def make_tree() -> None:
    """Copy the repository's files to build/docs and write the reference beside them."""
    shutil.rmtree(TREE, ignore_errors=True)
    files = tracked()
    for path in files:
        target = TREE / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, target)
    write_reference(files)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true", help="serve the pages on 127.0.0.1:8000 instead, until stopped")
    args = parser.parse_args()
    make_tree()
    command = ["serve", "--dev-addr", "127.0.0.1:8000"] if args.serve else ["build", "--strict"]
    return subprocess.run([sys.executable, "-m", "mkdocs", *command], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
