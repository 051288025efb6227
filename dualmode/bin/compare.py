"""Word error rates of several experiments side by side, each the mean over its seeds, with the spread.

  dualmode compare pre-trained=exp/asr_p0,exp/asr_p1,exp/asr_p2 random=exp/asr_r0,exp/asr_r1,exp/asr_r2

With --bootstrap also 95 % intervals of the error rates, of their differences from one row (--against), and of the
comparisons that were planned (--planned): is a row at least as good as another?

  dualmode compare both=exp/asr_b1,exp/asr_b2 alone=exp/asr_a1,exp/asr_a2 \\
    --bootstrap 10000 --data-dir dump --subsets-dir data --against alone --planned planned.yaml
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dualmode.cli import existing_dir, existing_file, make_parser, run, seed
from dualmode.commands import command_line
from dualmode.errors import UserError
from dualmode.results.compare import compare, spread_records, tables
from dualmode.results.compare_plot import plot_comparison
from dualmode.results.output import check_kind, check_outputs, write_together
from dualmode.results.provenance import provenance
from dualmode_runtime.files import json_text


def experiment(text: str) -> tuple[str, list[Path]]:
    """Argparse type: NAME=EXP[,EXP...]."""
    name, equals, folders = text.partition("=")
    if not (name and equals and folders):
        raise argparse.ArgumentTypeError(f"{text}: expected NAME=EXP[,EXP...]")
    return name, [Path(folder) for folder in folders.split(",")]


def get_parser() -> argparse.ArgumentParser:
    parser = make_parser(__doc__, "compare")
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
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the figures (rows), and where they come from (origin)"
    )
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw WER against sparsity, or with --bootstrap intervals, as PNG"
    )
    group = parser.add_argument_group("intervals")
    group.add_argument(
        "--bootstrap",
        type=int,
        metavar="N",
        help="give 95 %% intervals, from N resamples of speakers crossed with seeds (10000 are usual; default: none); "
        "runs are paired by the seeds in their decode.json",
    )
    group.add_argument(
        "--data-dir", type=existing_dir, metavar="DIR", help="folder with text and utt2spk of each set: dump, say"
    )
    group.add_argument(
        "--subsets-dir",
        type=existing_dir,
        metavar="DIR",
        help="folder with a folder for each set, whose utt2subsets names parts that have lines of their own "
        "(default: that of --data-dir)",
    )
    group.add_argument(
        "--planned",
        type=existing_file,
        metavar="FILE",
        help="YAML: margin (%% absolute), and comparisons (row, against, set, weights: dense or sparse, ask: "
        "non-inferior or different), with Holm's correction over all of them; it may name rows that are not run yet",
    )
    group.add_argument("--random-seed", type=seed, default=0, metavar="N", help="seed of the resamples")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if argv is None else list(argv)
    args = get_parser().parse_args(arguments)
    experiments = dict(args.experiments)
    if twice := [name for name, count in Counter(name for name, _ in args.experiments).items() if count > 1]:
        raise UserError(f"there are two rows {twice[0]}: write its runs behind one name, {twice[0]}=EXP,EXP")
    for name, runs in experiments.items():
        if len({run.resolve() for run in runs}) < len(runs):
            raise UserError(f"row {name} has the same run twice: each seed counts once")
    if args.against and args.against not in experiments:
        raise UserError(f"--against is {args.against}: the rows are {', '.join(experiments)}")
    outputs = [("--out", args.out), ("--json", args.json), ("--plot", args.plot)]
    check_outputs(outputs, read_files(experiments, args))
    if args.plot:
        check_kind(args.plot, b"\x89PNG", "PNG")
    if args.bootstrap is not None:
        lines, records = with_intervals(experiments, args)
    elif args.data_dir or args.subsets_dir or args.planned:
        raise UserError("--data-dir, --subsets-dir and --planned are for intervals: give --bootstrap 10000, too")
    else:
        lines, records = with_spreads(experiments, args)
    written = {}
    if args.out:
        written[args.out] = "\n".join([*lines, ""])
    if args.json:
        configs = [args.planned] if args.planned else []
        origin = provenance(command_line("compare", arguments), None, configs)
        written[args.json] = json_text({"origin": origin, "rows": records})
    write_together(written)
    print("\n".join(lines))


def read_files(experiments: Mapping[str, Sequence[Path]], args: argparse.Namespace) -> Iterator[Path]:
    """Yield the files that a comparison reads, with intervals or without."""
    for exp in (exp for folders in experiments.values() for exp in folders):
        yield exp / "results.json"
        for name in ("decode.json", "text"):
            yield from exp.glob(f"decode_*/{name}")
    for folder in filter(None, (args.data_dir, args.subsets_dir)):
        for name in ("text", "utt2spk", "utt2subsets"):
            yield from folder.glob(f"*/{name}")
    if args.planned:
        yield args.planned


def with_spreads(experiments: Mapping[str, Sequence[Path]], args: argparse.Namespace) -> tuple[list[str], list[dict]]:
    """Return lines and JSON records of means, lowest and highest runs; draw them if asked for."""
    columns, rows = compare(experiments)
    lines = tables(columns, rows)
    records = spread_records(columns, rows)
    if args.against:
        columns_of_both, differences = compare(experiments, args.against)
        lines += ["", *tables(columns_of_both, differences, args.against)]
        records += [{"against": args.against, **one} for one in spread_records(columns_of_both, differences)]
    if args.plot:
        plot_comparison(columns, rows, args.plot)
    return lines, records


def with_intervals(experiments: Mapping[str, Sequence[Path]], args: argparse.Namespace) -> tuple[list[str], list[dict]]:
    """Return lines and JSON records of 95 % intervals; draw them if asked for."""
    from dualmode.config import from_mapping
    from dualmode.models.yaml_file import read_yaml
    from dualmode.results import interval_tables as shown
    from dualmode.results.interval_plot import plot_intervals
    from dualmode.results.intervals import Comparer
    from dualmode.results.planned import Plan
    from dualmode.results.speakers import Sets, speaker_errors

    if not args.data_dir:
        raise UserError("--bootstrap needs --data-dir, the folder with text and utt2spk of each set: a recipe's dump")
    comparer = Comparer(args.bootstrap, args.random_seed)
    plan = from_mapping(Plan, read_yaml(args.planned), str(args.planned)) if args.planned else None
    sets = Sets(args.data_dir, args.subsets_dir)
    rows = {name: speaker_errors(folders, sets) for name, folders in experiments.items()}
    estimates = comparer.estimates(rows)
    lines, records = list(shown.estimate_table(estimates)), shown.estimate_records(estimates)
    if args.against:
        differences = comparer.differences(rows, args.against)
        lines += ["", *shown.difference_table(differences, args.against, shown.columns_of(estimates))]
        records += shown.difference_records(differences, args.against)
    verdicts = plan.verdicts(rows, comparer) if plan else []
    if plan:
        lines += ["", *shown.verdict_table(verdicts)]
        records += shown.verdict_records(verdicts)
    lines += ["", *shown.legend(estimates, args.bootstrap, args.random_seed, len(verdicts))]
    if args.plot:
        plot_intervals(estimates, verdicts, args.plot)
    return lines, records


if __name__ == "__main__":
    run(main)
