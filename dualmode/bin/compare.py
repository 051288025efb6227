"""Word error rates of several experiments side by side, each the mean over its seeds, with the spread."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from dualmode.cli import make_parser, run
from dualmode.errors import UserError
from dualmode.results.compare import compare, tables
from dualmode.results.compare_plot import plot_comparison
from dualmode.results.output import write_json_file, write_lines

DESCRIPTION = """
Word error rates of several experiments side by side, each the mean over its seeds, with the spread.

  python -m dualmode.bin.compare pre-trained=exp/asr_p0,exp/asr_p1,exp/asr_p2 random=exp/asr_r0,exp/asr_r1,exp/asr_r2
"""


def experiment(text: str) -> tuple[str, list[Path]]:
    """Argparse type: NAME=EXP[,EXP...]."""
    name, equals, folders = text.partition("=")
    if not (name and equals and folders):
        raise argparse.ArgumentTypeError(f"{text}: expected NAME=EXP[,EXP...]")
    return name, [Path(folder) for folder in folders.split(",")]


def get_parser() -> argparse.ArgumentParser:
    parser = make_parser(DESCRIPTION, "compare")
    parser.add_argument(
        "experiments",
        nargs="+",
        type=experiment,
        metavar="NAME=EXP[,EXP...]",
        help="name of a row, and the folders (with results.json) of its runs, one for each seed",
    )
    parser.add_argument(
        "--against",
        metavar="NAME",
        help="one of the rows: more tables, of its WER subtracted, run by run, from the others",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the tables as Markdown")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw WER against sparsity, as PNG")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    experiments = dict(args.experiments)
    if args.against and args.against not in experiments:
        raise UserError(f"--against is {args.against}: the rows are {', '.join(experiments)}")
    columns, rows = compare(experiments)
    lines = tables(columns, rows)
    if args.against:
        lines += ["", *tables(*compare(experiments, args.against), args.against)]
    print("\n".join(lines))
    if args.out:
        write_lines(args.out, lines)
    if args.plot:
        plot_comparison(columns, rows, args.plot)
    if args.json:
        write_json_file(
            args.json,
            [
                {"name": name, "set": c[0], "sparsity": c[1], "context": c[2], **spread.as_json()}
                for name, spreads in rows.items()
                for c, spread in zip(columns, spreads, strict=True)
                if spread is not None
            ],
        )


if __name__ == "__main__":
    run(main)
