"""Score every decoded set of a model and write the table of results (stages 6 and 7).

Writes  EXP/RESULTS.md     the table, how it was measured, and commands, configuration, commit, seed, versions, machine
        EXP/results.json   the rows: error rates in percent, times in ms, sizes in bytes
        EXP/subsets.json   error rates of parts of a set, where SUBSETS/SET/utt2subsets names some
        EXP/wer.png        the error rates as bars, with 95 % intervals over the speakers where DATA/SET/utt2spk is
        EXP/decode_*/score.json and score.txt (every utterance aligned)

and prints the table.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dualmode.cli import existing_dir, existing_file, make_parser, run
from dualmode.commands import command_line
from dualmode.results.decodes import Decode, read_decodes, rejected_utterances
from dualmode.results.delays import FIGURE
from dualmode.results.details import details
from dualmode.results.device import read_devices
from dualmode.results.output import writable, write_json_file, write_lines
from dualmode.results.page import results_page
from dualmode.results.provenance import provenance
from dualmode.results.subsets import subset_rows
from dualmode.results.table import LEGEND, terminal_table


def get_parser() -> argparse.ArgumentParser:
    parser = make_parser(__doc__, "report")
    parser.add_argument("--exp", type=existing_dir, required=True, metavar="EXP", help="folder of the model")
    parser.add_argument(
        "--data-dir", type=existing_dir, required=True, metavar="DATA", help="folder with a folder for each set"
    )
    parser.add_argument(
        "--subsets-dir",
        type=existing_dir,
        metavar="SUBSETS",
        help="folder with a folder for each set, whose utt2subsets says what parts of it are scored alone (default: "
        "that of --data-dir)",
    )
    parser.add_argument("--title", default="Results", metavar="TEXT", help="heading of RESULTS.md")
    parser.add_argument("--note", action="append", metavar="TEXT", help="sentence above the table; may be repeated")
    parser.add_argument(
        "--command",
        action="append",
        metavar="TEXT",
        help="command line that made all this, shown in the place of this report's own; may be repeated",
    )
    parser.add_argument(
        "--config",
        action="append",
        type=existing_file,
        metavar="FILE",
        help="configuration to name with its checksum beside EXP/config.yaml; may be repeated",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    argv = sys.argv[1:] if argv is None else list(argv)
    args = get_parser().parse_args(argv)
    from dualmode.results.intervals import with_intervals  # needs numpy, which takes a moment

    decodes = read_decodes(args.exp, args.data_dir)
    rows = with_intervals(decodes, args.data_dir)
    devices, of_before = read_devices(args.exp, args.data_dir)
    parts = subset_rows(decodes, args.subsets_dir or args.data_dir)
    notes = [*(args.note or ()), *rejection_notes(decodes, args.data_dir)]
    if of_before:
        left_out = ", ".join(of_before)
        notes.append(f"Left out, as compared with transcripts that are no longer here: {left_out} (run stage 7 again).")
    commands = [*(args.command or ()), *(decode.meta["command"] for decode in decodes)]
    commands += [row.pop("command") for row in devices]
    if not args.command:  # a recipe's command writes this report as well
        commands.append(command_line("report", argv))
    seeds = {decode.meta["seed"] for decode in decodes}
    configs = [*(args.config or ()), *filter(Path.is_file, [args.exp / "config.yaml"])]
    origin = provenance(list(dict.fromkeys(commands)), seeds.pop() if len(seeds) == 1 else None, configs)

    for decode in decodes:
        write_json_file(decode.folder / "score.json", decode.score.as_json())
        write_lines(decode.folder / "score.txt", details(decode.score))
    write_json_file(args.exp / "results.json", [*rows, *devices])
    if parts:
        write_json_file(args.exp / "subsets.json", parts)
    else:  # an earlier report's would be taken for this one's
        with writable(args.exp / "subsets.json"):
            (args.exp / "subsets.json").unlink(missing_ok=True)
    draw(rows, args.exp / "wer.png")
    masks = sorted(path.name for path in args.exp.glob("masks_*.png"))
    names = (
        "wer.png",
        "curves.png",
        *masks,
        *(f"{decode.folder.name}/{FIGURE}" for decode in decodes if decode.delays),
    )
    figures = [name for name in names if (args.exp / name).is_file()]
    write_lines(args.exp / "RESULTS.md", results_page(args.title, notes, decodes, origin, figures, devices, parts))

    print("\n".join(["", args.title, "", *terminal_table(rows), "", LEGEND, *notes]))
    print(f"written: {args.exp / 'RESULTS.md'}, results.json, wer.png")


def rejection_notes(decodes: Sequence[Decode], data_dir: Path) -> list[str]:
    """Say for each set how many of its utterances were rejected before decoding and so are in no row."""
    notes = []
    for name in dict.fromkeys(decode.meta["set"] for decode in decodes):
        listed = data_dir / name / "rejected.tsv"
        if rejected := rejected_utterances(listed):
            notes.append(f"{name}: utterances rejected as bad data and not scored: {rejected} (see {listed}).")
    return notes


def draw(rows: Sequence[dict], path: Path) -> None:
    # matplotlib takes a second to import: only once the rows are known to be good.
    from dualmode.results.plots import plot_wer

    with writable(path):
        plot_wer(rows, path)


if __name__ == "__main__":
    run(main)
