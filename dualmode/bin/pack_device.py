"""Write one streaming sub-network as a file for the device engine, and report its size.

Run it with dualmode-device (compiled by python -m dualmode.device.build), which needs no Python, or from Python with
dualmode.device.fallback.open_device.
"""

from collections.abc import Sequence
from pathlib import Path

from dualmode.cli import existing_dir, make_parser, run


def get_parser():
    parser = make_parser(__doc__, "pack_device")
    parser.add_argument("--model", type=existing_dir, required=True, help="model folder of dualmode.bin.asr_train")
    parser.add_argument("--checkpoint", help="file in it; by default the best one")
    parser.add_argument("--sparsity", type=float, required=True, help="share of pruned weights, such as 0.7; 0: dense")
    parser.add_argument("--chunk-ms", type=float, default=640, help="audio that is decoded at once, in ms")
    parser.add_argument("--left-ms", type=float, default=1280, help="audio before the chunk that is seen, in ms")
    parser.add_argument("--lookahead-ms", "--right-ms", type=float, default=0, help="look-ahead past the chunk, in ms")
    parser.add_argument("--precision", choices=("int8", "fp32"), default="int8", help="of the matrices")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--force", action="store_true", help="write a sub-network that the model was not trained as")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    from dualmode.device.pack import pack
    from dualmode.files import atomic_path
    from dualmode.models.folder import ModelFolder
    from dualmode.supernet.subnet import Context, Subnet

    subnet = Subnet(args.sparsity, Context.from_ms(args.chunk_ms, args.left_ms, args.lookahead_ms))
    data = pack(ModelFolder.open(args.model, args.checkpoint).load(subnet, args.force), args.precision)
    with atomic_path(args.out) as tmp:
        tmp.write_bytes(data)
    print(f"{args.out}: {subnet}, {args.precision}, {len(data)} bytes")


if __name__ == "__main__":
    run(main)
