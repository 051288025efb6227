"""Benchmarks that the project's claims about speed and size rest on.

What is compared runs in turns, round after round, and medians count; ratios hold where milliseconds do not. Run them on
a machine that does nothing else.
"""

import argparse
import importlib
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from dualmode.cli import make_parser, run
from dualmode.commands import command_line
from dualmode.errors import UserError

BENCHES = {
    "encoder": "training, streaming, and long audio",
    "updates": "whole updates of both trainings",
    "pruning": "finding masks anew",
    "distractors": "comparing hidden frames with their distractors, in pre-training",
    "lattice": "the lattice of an RNN-T, by how much of it is in memory at a time",
    "neighbour": "a training beside another busy process, by how its threads wait",
    "device": "a chunk in the device engine, PyTorch and ONNX Runtime",
    "streams": "memory of many streams in the device engine",
    "web": "the device engine as WebAssembly, and ONNX Runtime Web",
    "server": "streams in real time that a core holds, and sherpa-onnx's server",
    "soak": "a server among clients of all kinds, faulty ones too",
    "learning": "learning curves on real sentences, against ESPnet's Conformer",
    "confidence": "how well confidence tells right words from wrong ones",
    "decode": "greedy decoding of whole utterances against ESPnet's asr_inference",
}
MAX_THREADS = 1024


def get_parser(name: str | None = None) -> argparse.ArgumentParser:
    """Return the parser; only the benchmark ``name`` is imported, for its options."""
    parser = make_parser(__doc__, "bench")
    benches = parser.add_subparsers(
        dest="bench", required=True, metavar="BENCH", help="what to measure; see BENCH --help"
    )
    for bench, about in BENCHES.items():
        options = benches.add_parser(bench, help=about, description=f"Measure {about}.", allow_abbrev=False)
        options.add_argument(
            "--json",
            type=Path,
            metavar="FILE",
            help="write the rows; the table and where it comes from go to FILE with .md",
        )
        options.add_argument(
            "--threads", type=int, default=0, metavar="N", help="CPU threads of PyTorch; 0 is all cores"
        )
        if bench == name:
            module(bench).add_options(options)
    return parser


def module(bench: str):
    return importlib.import_module(f"dualmode.bench.{bench}")


def main(argv: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if argv is None else list(argv)
    args = get_parser(next((word for word in arguments if word in BENCHES), None)).parse_args(arguments)
    if not 0 <= args.threads <= MAX_THREADS:
        raise UserError(f"--threads {args.threads}: expected 0 to {MAX_THREADS}")
    check_files(args)
    import torch

    from dualmode.results.output import write_together
    from dualmode.results.page import origin_lines
    from dualmode.results.provenance import provenance
    from dualmode_runtime.files import json_text

    if args.threads:
        torch.set_num_threads(args.threads)
    rows = finite(module(args.bench).measure(args))
    columns = module(args.bench).COLUMNS
    threads = getattr(module(args.bench), "THREADS", torch.get_num_threads())
    lines = [*table(rows, columns), "", f"{threads} CPU threads."]
    print("\n".join(lines))
    if args.json:
        command = command_line("bench", arguments)
        seed = None if hasattr(args, "seeds") else 0  # several are in the command, or the default
        origin = origin_lines(provenance(command, seed, config_files=[]))
        title = f"# Benchmark `{args.bench}`: {BENCHES[args.bench]}"
        page = [title, "", *lines, "", "## Where it comes from", "", *origin]
        write_together({args.json: json_text(rows), args.json.with_suffix(".md"): "\n".join([*page, ""])})


def check_files(args: argparse.Namespace) -> None:
    """Look at the files that a benchmark would write, before it measures.

    Raises:
        UserError: one is read here or is another one's, is a folder, or cannot be written.
    """
    from dualmode.results.output import check_outputs, writable
    from dualmode_runtime.files import check_writable

    outputs = [(f"--{name}", getattr(args, name, None)) for name in ("json", "picture", "rows")]
    for option, path in outputs:
        if path and path.is_dir():
            raise UserError(f"{option} {path} is a folder: name a file")
    if args.json:
        if args.json.suffix == ".md":
            raise UserError(f"--json {args.json} would be its own page: name a file that ends in .json")
        outputs.insert(1, ("the page of --json", args.json.with_suffix(".md")))
    check_outputs(outputs[:-1], read_files(args))  # rows are added to their file
    for _, path in outputs:
        if path:
            with writable(path):
                check_writable(path.parent)


def read_files(args: argparse.Namespace) -> Iterator[Path]:
    """Yield every path that the options of a benchmark name, but for those that it writes anew."""
    for name, value in vars(args).items():
        if name not in ("json", "picture"):
            yield from (path for path in (value if isinstance(value, list) else [value]) if isinstance(path, Path))


def finite(rows: Sequence[dict]) -> list[dict]:
    """Return the rows with None for numbers that are none, such as a delay where no text came: JSON has no others."""
    return [
        {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()}
        for row in rows
    ]


def table(rows: Sequence[dict], columns: Sequence[str]) -> list[str]:
    """Return the rows as lines of a Markdown table; what a row does not have is a dash."""
    cells = [[shown(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in [list(columns), *cells]) for i in range(len(columns))]
    lines = [columns, ["-" * width for width in widths], *cells]
    return [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]


def shown(value) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    run(main)
