"""Put a trained recogniser, with all its sub-networks, into one folder to give away.

Writes model.safetensors, config.yaml, tokens/, cmvn.json and README.md (the model card, with the table of results).
Nothing in the folder runs code when it is opened, and no path of this machine is in it.
"""

from collections.abc import Sequence
from pathlib import Path

from dualmode.cli import make_parser, run
from dualmode.errors import UserError
from dualmode.models.options import SUPERNET, add_model


def get_parser():
    parser = make_parser(__doc__, "pack")
    add_model(parser, SUPERNET)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write; must not exist")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    if args.out.exists():
        raise UserError(f"{args.out} is there already: choose another --out, or remove it")
    import yaml
    from safetensors.torch import save

    from dualmode.asr.build import BUILT_FROM
    from dualmode.data.folder import atomic_folder
    from dualmode.data.tokens import copy_token_list
    from dualmode.models.card import model_card, results_of
    from dualmode.models.folder import ModelFolder
    from dualmode.models.weights import PACKED
    from dualmode_runtime.files import atomic_write, write_json

    opened = ModelFolder.open(args.model, args.checkpoint)
    model, checkpoint, config = opened.supernet(), opened.checkpoint, opened.config
    results = results_of(args.model, checkpoint.name)
    norm = model.encoder.normalize
    with atomic_folder(args.out) as folder:
        tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        (folder / PACKED).write_bytes(save(tensors, metadata={"format": "dualmode-model-1"}))  # with usual rights
        with atomic_write(folder / "config.yaml") as out:
            yaml.safe_dump({key: config[key] for key in BUILT_FROM if key in config}, out, sort_keys=False)
        copy_token_list(args.model / "tokens", folder / "tokens")
        write_json(folder / "cmvn.json", {"mean": norm.mean.tolist(), "std": norm.std.tolist()})
        with atomic_write(folder / "README.md") as out:
            card = model_card(args.out.name, model, config.get("seed"), checkpoint.name, results)
            out.writelines(f"{line}\n" for line in card)
        ModelFolder.open(folder).supernet()  # what cannot be opened is not given away
    size = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    print(f"{args.out}: {size / 1e6:.1f} MB from {checkpoint}")


if __name__ == "__main__":
    run(main)
