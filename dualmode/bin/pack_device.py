"""Write one streaming sub-network as a file for the device engine, and report its size.

Run it with dualmode transcribe, stream or serve, with dualmode-device (compiled by python -m dualmode_runtime.build),
which needs no Python, or from Python with dualmode_runtime.Recognizer.
"""

from collections.abc import Sequence
from pathlib import Path

from dualmode.cli import make_parser, run
from dualmode.errors import UserError
from dualmode.models.options import add_model, add_subnet, chosen_name


def get_parser():
    parser = make_parser(__doc__, "pack_device")
    add_model(parser)
    add_subnet(parser)
    parser.add_argument("--precision", choices=("int8", "fp32"), default="int8", help="of the matrices")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="file to write, such as model.dmdl; one that is there is replaced",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    if args.out.is_dir():
        raise UserError(f"--out {args.out} is a folder: give the name of a file, such as {args.out / 'model.dmdl'}")
    from dualmode.device.container import MAGIC
    from dualmode.device.pack import pack
    from dualmode.models.folder import ModelFolder
    from dualmode.results.output import check_kind
    from dualmode_runtime.files import atomic_path

    check_kind(args.out, MAGIC, "device file")
    folder = ModelFolder.open(args.model, args.checkpoint)
    subnet = folder.choose(chosen_name(args), args.chunk_ms, args.left_ms, args.lookahead_ms)
    data = pack(folder.load(subnet, args.force), args.precision)
    with atomic_path(args.out) as tmp:
        tmp.write_bytes(data)
    print(f"{args.out}: {subnet}, {args.precision}, {len(data)} bytes")


if __name__ == "__main__":
    run(main)
