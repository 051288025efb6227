"""Stage 3: find the sparse sub-network in a trained supernet, from the supernet's own weights."""

from collections.abc import Sequence
from pathlib import Path

from dualmode.cli import existing_dir, existing_file, make_parser, run
from dualmode.errors import UserError
from dualmode.files import atomic_path, atomic_write, write_json


def get_parser():
    parser = make_parser(
        __doc__ + "\nWrites model.pth (the encoder with its masks), config.yaml, report.json and report.png.", "prune"
    )
    parser.add_argument(
        "--config",
        type=existing_file,
        required=True,
        help="YAML with sparsities (shares of pruned weights) and block ([rows, columns]), see conf/tuning/prune.yaml",
    )
    parser.add_argument("--model", type=existing_dir, required=True, help="model folder of dualmode.bin.pretrain")
    parser.add_argument("--checkpoint", help="file in it; by default the best one")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    import torch
    import yaml

    from dualmode.checkpoint import encoder_weights, find_checkpoint, load_into, load_weights, read_yaml
    from dualmode.encoder.config import EncoderConfig, from_mapping
    from dualmode.encoder.conformer import DualModeEncoder
    from dualmode.results.plots import plot_layer_sparsity
    from dualmode.supernet.pruning import check_masks, estimate_masks, layer_report, prunable
    from dualmode.supernet.storage import kept_parameters

    wanted = read_yaml(args.config)
    unknown = sorted(set(wanted) - {"sparsities", "block"})
    if unknown:
        raise UserError(f"{args.config} has the key {unknown[0]!r}; it may hold sparsities and block")
    conf = read_yaml(args.model / "config.yaml")["encoder_conf"]
    config = from_mapping(EncoderConfig, {**conf, **wanted}, str(args.config))
    encoder = DualModeEncoder(config)
    checkpoint = find_checkpoint(args.model, args.checkpoint)
    weights = encoder_weights(load_weights(checkpoint))
    before = {name: weights[f"{name}.masks"] for name, _ in prunable(encoder)}
    for name, layer in prunable(encoder):
        weights[f"{name}.masks"] = layer.masks  # the old ones may be fewer or more, and are found anew
    load_into(encoder, weights, checkpoint)
    estimate_masks(encoder, config.sparsities, config.block)
    check_masks(encoder, config.sparsities, config.block)

    report = {
        "model": str(checkpoint),
        "block": list(config.block),
        "encoder_parameters": kept_parameters(encoder, 0),
        "subnets": [
            {
                "sparsity": sparsity,
                "kept_parameters": kept_parameters(encoder, level),
                "changed_share": changed_share(before, encoder, level),
                "layers": layer_report(encoder, level),
            }
            for level, sparsity in enumerate(config.sparsities, 1)
        ],
    }
    args.out.mkdir(parents=True, exist_ok=True)
    with atomic_write(args.out / "config.yaml") as out:
        yaml.safe_dump({"encoder_conf": config.to_dict()}, out)
    with atomic_path(args.out / "model.pth") as path:
        torch.save({f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}, path)
    write_json(args.out / "report.json", report)
    for subnet in report["subnets"]:
        sparsity = subnet["sparsity"]
        plot_layer_sparsity(
            {"layers": subnet["layers"], "sparsity": sparsity, "block": report["block"]},
            args.out / f"report_{100 * sparsity:g}.png",
        )
        total, kept = report["encoder_parameters"], subnet["kept_parameters"]
        print(
            f"sparsity {100 * sparsity:g} % in blocks of {config.block[0]}x{config.block[1]}: "
            f"{kept / 1e6:.2f} M of the encoder's {total / 1e6:.2f} M parameters kept"
        )
    print(f"wrote {args.out}")


def changed_share(before: dict, encoder, level: int) -> float | None:
    """Return the share of mask entries that differ from the masks of the training; None if it had no such mask."""
    from dualmode.supernet.pruning import prunable

    changed = total = 0
    for name, layer in prunable(encoder):
        if len(before[name]) != len(layer.masks):
            return None
        changed += int((before[name][level - 1] != layer.masks[level - 1]).sum())
        total += layer.masks[level - 1].numel()
    return changed / total


if __name__ == "__main__":
    run(main)
