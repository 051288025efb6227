"""Write one sub-network for sherpa-onnx, and run it there to see that it says what we say.

A sub-network with a chunk is for its streaming recogniser; the dense one in the full context (--subnet dense, and no
--chunk-ms) for its offline recogniser, where a file is heard whole.

Blocks and single weights that were pruned are stored as zeros, since ONNX knows no sparsity; only a sub-network pruned
in whole units is smaller and faster there. dualmode pack-device writes what our own engine runs sparse.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from dualmode.cli import make_parser, run
from dualmode.models.options import add_model, add_subnet, chosen_name


def get_parser():
    parser = make_parser(__doc__, "export")
    add_model(parser)
    parser.add_argument("--format", choices=("sherpa-onnx",), default="sherpa-onnx", help="runtime to write for")
    add_subnet(parser)
    parser.add_argument("--int8", action="store_true", help="write files with matrix products in int8 too")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder to write; its files of an earlier export are replaced",
    )
    parser.add_argument(
        "--check",
        type=Path,
        nargs="+",
        default=[],
        metavar="AUDIO",
        help="run the files on this audio (16 kHz mono files, or one Kaldi data folder) and compare the transcripts "
        "with ours",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = get_parser().parse_args(argv)
    from dualmode.export.sherpa import export
    from dualmode.models.folder import ModelFolder

    audio = None
    if args.check:
        from dualmode.export.check import MAX_INT8_LOSS, Audio, check

        audio = Audio.find(args.check)
    folder = ModelFolder.open(args.model, args.checkpoint)
    loaded = folder.load(folder.choose(chosen_name(args), args.chunk_ms, args.left_ms, args.lookahead_ms), args.force)
    about = export(loaded, args.out, args.int8)
    sizes = ", ".join(f"{precision} {sum(files.values())} bytes" for precision, files in about["files"].items())
    print(f"{args.out}: {loaded.subnet}, {sizes}")
    if audio is None:
        return 0
    report = check(loaded, args.out, about, audio)
    print("\n".join(report.lines))
    if report.loss is not None and report.loss > MAX_INT8_LOSS:
        warn(f"int8 costs {report.loss:.2f} % of the words, more than {MAX_INT8_LOSS} %")
    if not report.equal:
        warn("the float transcripts differ from ours")
    return 0 if report.equal else 1


def warn(fault: str) -> None:
    print(f"WARNING: {fault}: do not ship these files unseen", file=sys.stderr)


if __name__ == "__main__":
    run(main)
