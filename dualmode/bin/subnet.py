"""Take one sub-network out of a supernet, into a folder of its own that dualmode.bin.asr_inference decodes with.

Pruned blocks are not stored; a model pruned in whole units becomes a smaller one. Outputs are those of the supernet.
"""

from collections.abc import Sequence
from pathlib import Path

from dualmode.cli import existing_dir, make_parser, run


def get_parser():
    parser = make_parser(__doc__, "subnet")
    parser.add_argument("model", type=existing_dir, metavar="MODEL_DIR", help="model folder of dualmode.bin.asr_train")
    parser.add_argument("--checkpoint", help="file in it; by default the best one")
    parser.add_argument("--sparsity", type=float, required=True, metavar="S", help="of the sub-network; 0: dense")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write; must not exist")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    from dualmode.models.folder import ModelFolder
    from dualmode.models.one_subnet import save_one_subnet
    from dualmode.supernet.storage import stored_bytes
    from dualmode.supernet.view import ALL

    folder = ModelFolder.open(args.model, args.checkpoint)
    model = folder.supernet()
    dense = stored_bytes(model, ALL, model.encoder.config.pruning)
    size = save_one_subnet(model, args.sparsity, folder.config, args.model / "tokens", args.out)
    sizes = f"{size / 1e6:.2f} MB, where the dense sub-network takes {dense / 1e6:.2f} MB"
    print(f"{args.out}: {sizes}, from {folder.checkpoint}")


if __name__ == "__main__":
    run(main)
