"""Run the notebook of the demo as a reader does, from top to bottom, and look at what it says; nothing is written."""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

PATH = Path(__file__).resolve().parent.parent / "egs" / "mini" / "demo" / "first_minute.ipynb"
SAID = (
    "temperature.wav: what is the temperature in the bedroom",
    "news.wav: stop new in the hallway",
    "at the end:    what is the temperature in the bedroom",
    "70% pruned",
)
PICTURES = 2
TIMEOUT_S = 300  # of a cell, on a busy machine


def main() -> int:
    notebook = nbformat.read(PATH, as_version=4)
    NotebookClient(notebook, timeout=TIMEOUT_S, resources={"metadata": {"path": str(PATH.parent)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    text = "".join(output.text for output in outputs if output.output_type == "stream")
    print(text, end="")
    missing = [sentence for sentence in SAID if sentence not in text]
    pictures = sum("image/png" in output.get("data", {}) for output in outputs)
    if missing or pictures != PICTURES:
        print(f"{PATH.name}: error: does not say {missing}, draws {pictures} pictures of {PICTURES}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
