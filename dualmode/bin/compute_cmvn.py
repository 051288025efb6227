"""Compute the global mean and standard deviation of features, bin by bin, over all frames of the list.

Writes JSON: {"frames": N, "mean": [...], "std": [...]}.  Use the training set: the model takes these numbers along.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from dualmode.cli import existing_file, make_parser, run


def get_parser() -> argparse.ArgumentParser:
    parser = make_parser(__doc__, "compute_cmvn")
    parser.add_argument("--feats", type=existing_file, required=True, metavar="SCP", help="feats.scp of the train set")
    parser.add_argument("--out", type=Path, required=True, metavar="JSON", help="file to write")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    from dualmode.data.cmvn import read_features, statistics
    from dualmode.progress import progress
    from dualmode_runtime.files import check_writable

    check_writable(args.out.parent)
    matrices = (matrix for _, matrix in read_features(args.feats))
    total = sum(1 for _ in open(args.feats, "rb"))
    result = statistics(progress(matrices, f"mean and variance of {args.feats}", total))
    result.write(args.out)
    print(f"{args.out}: mean and standard deviation of {result.frames} frames in {total} utterances")


if __name__ == "__main__":
    run(main)
