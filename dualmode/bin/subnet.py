"""Take one sub-network out of a supernet, into a folder of its own that all commands open.

Pruned blocks are not stored; a model pruned in whole units becomes a smaller one. Outputs are those of the supernet.
README.md, a model card, says what it is and how to run it.
"""

from collections.abc import Sequence
from pathlib import Path

from dualmode.cli import make_parser, run
from dualmode.models.options import SUPERNET, add_model, add_weights, chosen_name


def get_parser():
    parser = make_parser(__doc__, "subnet")
    add_model(parser, SUPERNET)
    add_weights(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write; must not exist")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    from dualmode.models.card import results_of
    from dualmode.models.folder import ModelFolder
    from dualmode.models.one_subnet import save_one_subnet
    from dualmode.supernet.storage import stored_bytes
    from dualmode.supernet.view import ALL

    folder = ModelFolder.open(args.model, args.checkpoint)
    model = folder.supernet()
    dense = stored_bytes(model, ALL, model.encoder.config.pruning)
    sparsity = folder.choose(chosen_name(args)).sparsity
    checkpoint = folder.checkpoint.name
    results = results_of(args.model, checkpoint)
    size = save_one_subnet(model, sparsity, folder.config, args.model / "tokens", args.out, checkpoint, results)
    sizes = f"{size / 1e6:.2f} MB, where the dense sub-network takes {dense / 1e6:.2f} MB"
    print(f"{args.out}: {sizes}, from {folder.checkpoint}")


if __name__ == "__main__":
    run(main)
