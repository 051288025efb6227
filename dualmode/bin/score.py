"""Word error rate of hypotheses against references, both Kaldi text files (an utterance id, then words; UTF-8).

Errors are the plain edit distance: a substitution, a deletion and an insertion count 1 each. Words are compared as
they are (case, punctuation). Both files must hold the same utterances; missing or extra ones are named.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from dualmode.cli import existing_file, make_parser, run
from dualmode.results.details import details
from dualmode.results.output import check_outputs, write_json_file, write_lines
from dualmode.results.score import score_files, summary
from dualmode.results.text import read_text
from dualmode.results.trn import trn_lines


def get_parser() -> argparse.ArgumentParser:
    parser = make_parser(__doc__, "score")
    parser.add_argument("--ref", type=existing_file, required=True, metavar="TEXT", help="references")
    parser.add_argument("--hyp", type=existing_file, required=True, metavar="TEXT", help="hypotheses")
    parser.add_argument(
        "--cer",
        action="store_true",
        help="give the character error rate too: over Unicode characters, the one space between two words included",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write counts and rates (in percent) as JSON")
    parser.add_argument("--details", type=Path, metavar="FILE", help="write every utterance aligned, totals at the end")
    parser.add_argument("--trn", type=Path, metavar="DIR", help="write ref.trn and hyp.trn there, for NIST's sclite")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    trn_files = [args.trn / f"{name}.trn" for name in ("ref", "hyp")] if args.trn else []
    outputs = [("--json", args.json), ("--details", args.details), *(("--trn", path) for path in trn_files)]
    check_outputs(outputs, [args.ref, args.hyp])
    score = score_files(args.ref, args.hyp)
    trn = {}  # made before anything is written: what sclite cannot read is refused here
    for path, text in zip(trn_files, (args.ref, args.hyp), strict=False):
        trn[path] = list(trn_lines(read_text(text), score.alignments))
    if args.json:
        write_json_file(args.json, score.as_json(cer=args.cer))
    if args.details:
        write_lines(args.details, details(score, cer=args.cer))
    for path, lines in trn.items():
        write_lines(path, lines)
    print(summary("WER", score.words))
    if args.cer:
        print(summary("CER", score.chars))


if __name__ == "__main__":
    run(main)
