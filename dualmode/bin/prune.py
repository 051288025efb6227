"""Stage 3: find the sparse sub-networks in a trained supernet, from the supernet's own weights."""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from dualmode.cli import existing_dir, existing_file, make_parser, run
from dualmode.errors import UserError
from dualmode.models.options import ENCODER, add_model
from dualmode_runtime.files import atomic_write, write_json

KEYS = ("sparsities", "granularity", "block", "scope", "layer_share")
FOUND_ANEW = (".masks", ".input_norms")
HEARD = 64  # utterances of --calibrate


def sparsity_list(text: str) -> list[float]:
    """Argparse type: numbers separated by commas.

    >>> sparsity_list("0.5,0.8")
    [0.5, 0.8]
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: expected numbers separated by commas, such as 0.5,0.8") from None


def get_parser():
    parser = make_parser(
        __doc__ + "\nWrites model.pth (the model with its masks), config.yaml, report.json, report_*.png and"
        " importance.png.",
        "prune",
    )
    add_model(parser, ENCODER)
    parser.add_argument(
        "--config",
        type=existing_file,
        required=True,
        metavar="YAML",
        help=f"with any of {', '.join(KEYS)}, explained in conf/tuning/prune.yaml",
    )
    parser.add_argument(
        "--sparsities", type=sparsity_list, metavar="LIST", help="in the place of the YAML's, separated by commas"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--calibrate",
        type=existing_dir,
        metavar="DIR",
        help="features of stage 1, or audio files (wav.scp): importance is then a weight's magnitude times the norm of "
        "its input there, not its magnitude alone; the norms go with the model, and count in later trainings too",
    )
    parser.add_argument(
        "--utterances", type=int, metavar="N", help=f"of --calibrate, spread over the set (default: {HEARD})"
    )
    return parser


def check_utterances(args: argparse.Namespace) -> None:
    """Raise UserError unless --utterances is left out, or stands beside --calibrate and is a number of them."""
    if args.utterances is None:
        return
    if args.calibrate is None:
        raise UserError("--utterances is of --calibrate, which is not given")
    if args.utterances < 1:
        raise UserError(f"--utterances is {args.utterances}: it must be at least 1")


def wanted_rule(args: argparse.Namespace) -> dict:
    """Return what to prune by: what the YAML file says, and options in its place; an unknown key is a UserError."""
    from dualmode.models.yaml_file import read_yaml

    wanted = read_yaml(args.config)
    unknown = sorted(set(wanted) - set(KEYS))
    if unknown:
        raise UserError(f"{args.config} has the key {unknown[0]!r}; it may hold {', '.join(KEYS)}")
    if args.sparsities:
        wanted["sparsities"] = args.sparsities
    return wanted | {"importance": "activations" if args.calibrate else "magnitude"}


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    check_utterances(args)
    if args.out.resolve() == args.model.resolve():
        raise UserError(f"--out is the model folder {args.model} itself: name another one, which is written anew")
    check_out(args.out)
    import yaml

    from dualmode.config import from_mapping
    from dualmode.encoder.config import EncoderConfig
    from dualmode.encoder.conformer import DualModeEncoder
    from dualmode.encoder.prunable import with_rule
    from dualmode.models.folder import ModelFolder
    from dualmode.models.weights import ENCODER, encoder_weights, load_into, save_checkpoint
    from dualmode.supernet.masked_linear import prunable
    from dualmode.supernet.pruning import check_masks, estimate_masks
    from dualmode.supernet.storage import own_norms

    wanted, folder = wanted_rule(args), ModelFolder.open(args.model, args.checkpoint)
    training = folder.config
    if not isinstance(training.get("encoder_conf"), dict):
        raise UserError(f"{args.model / 'config.yaml'} has no encoder_conf: it is not the folder of a supernet")
    config = from_mapping(EncoderConfig, with_rule(training["encoder_conf"], wanted), str(args.config))
    encoder = DualModeEncoder(config)
    own = encoder.state_dict()
    checkpoint, weights = folder.checkpoint, folder.weights()
    inner = encoder_weights(weights)
    old = folder.encoder_config.masked
    rows = nearest_rows(old, config.masked)
    for name, norm in own_norms(encoder):
        for part in (f"{name}.weight", f"{name}.bias"):
            inner[part] = inner[part][rows[: len(norm.weight)]]  # one row for all, or where nothing is pruned
    # The old masks may be fewer or more, and are found anew; so are the norms of the inputs.
    masks = {name: inner[f"{name}.masks"] for name, _ in prunable(encoder) if f"{name}.masks" in inner}
    before = {
        sparsity: {name: levels[level] for name, levels in masks.items() if level < len(levels)}
        for level, sparsity in enumerate(old)
    }
    inner = {name: tensor for name, tensor in inner.items() if not name.endswith(FOUND_ANEW)}
    load_into(encoder, inner | {name: own[name] for name in own if name.endswith(FOUND_ANEW)}, checkpoint)
    encoder.eval()
    if args.calibrate:
        calibrate(encoder, args.calibrate, args.utterances or HEARD)
    estimate_masks(encoder, config.pruning)
    check_masks(encoder, config.pruning)

    args.out.mkdir(parents=True, exist_ok=True)
    with atomic_write(args.out / "config.yaml") as out:
        yaml.safe_dump({**training, "encoder_conf": config.to_dict()}, out)
    whole = {name: tensor for name, tensor in weights.items() if not name.startswith(ENCODER)}
    whole |= {f"{ENCODER}{name}": tensor for name, tensor in encoder.state_dict().items()}
    save_checkpoint(whole, args.out / "model.pth")
    shutil.rmtree(args.out / "tokens", ignore_errors=True)  # of what was pruned into this folder before
    if (args.model / "tokens").is_dir():
        shutil.copytree(args.model / "tokens", args.out / "tokens")
    write_report(args, encoder, before, checkpoint)
    print(f"wrote {args.out}")


def check_out(out: Path) -> None:
    """Raise UserError if ``out`` holds weights of a training or a packed model, whose configuration would be lost."""
    from dualmode.models.weights import EPOCH_STATE, PACKED, STEP_STATE

    others = (EPOCH_STATE, STEP_STATE, "subnet.json", PACKED, "*.ave.pth", "*.best.pth", "latest.pth")
    if found := sorted(path.name for pattern in others for path in out.glob(pattern)):
        raise UserError(f"{out} holds {found[0]}, which dualmode prune has not made: name another --out")


def nearest_rows(old: Sequence[float], new: Sequence[float]) -> list[int]:
    """Return which row of a norm each new sub-network starts with: the dense one's, and those of the nearest sparsity.

    >>> nearest_rows([0.7], [0.5, 0.9]), nearest_rows([], [0.5])
    ([0, 1, 1], [0, 0])
    """
    if not old:
        return [0] * (1 + len(new))
    return [0, *(1 + min(range(len(old)), key=lambda level: abs(old[level] - sparsity)) for sparsity in new)]


def calibrate(encoder, folder: Path, utterances: int) -> None:
    """Measure the norms of the layers' inputs in the dense pass over some utterances."""
    import torch

    from dualmode.decoding.inputs import open_inputs
    from dualmode.supernet.activations import measure_inputs
    from dualmode.supernet.subnet import DENSE

    features = open_inputs(folder, encoder.config.input_size)
    keys = sorted(features)
    count = min(utterances, len(keys))
    chosen = [keys[number * len(keys) // count] for number in range(count)]

    def run_encoder() -> None:
        for key in chosen:
            one = torch.tensor(features[key]).unsqueeze(0)
            encoder(one, torch.tensor([one.shape[1]]), DENSE)

    measure_inputs(encoder, run_encoder)


def write_report(args, encoder, before: dict[float, dict], checkpoint: Path) -> None:
    """Write report.json and the figures; print one screen of it.  ``before`` has the old masks of each sparsity."""
    from dualmode.encoder.slicing import without_pruned_units
    from dualmode.results.importance_plot import plot_importance
    from dualmode.results.plots import plot_layer_sparsity
    from dualmode.supernet.report import changed_share, importance_histogram, layer_report, shares_by_kind
    from dualmode.supernet.storage import kept_parameters, stored_bytes
    from dualmode.supernet.view import ALL

    rule = encoder.config.pruning
    histogram = importance_histogram(encoder, rule)
    report = {
        "model": str(checkpoint),
        "granularity": str(rule.granularity),
        "scope": rule.scope,
        "importance": "magnitude times activations" if args.calibrate else "magnitude",
        "encoder_parameters": kept_parameters(encoder, ALL),
        "dense_bytes": stored_bytes(encoder, ALL, rule),
        "importance_histogram": histogram,
        "subnets": [],
    }
    print(f"{rule.granularity}, scope {rule.scope}, importance: {report['importance']}")
    for level, sparsity in enumerate(rule.sparsities, 1):
        layers, alone = layer_report(encoder, level), without_pruned_units(encoder, encoder.config.view(sparsity))
        subnet = {
            "sparsity": sparsity,
            "kept_parameters": kept_parameters(*alone),
            "bytes": stored_bytes(*alone, rule),
            "changed_share": changed_share(before.get(sparsity, {}), encoder, level),
            "kept_by_kind": shares_by_kind(layers),
            "layers": layers,
        }
        report["subnets"].append(subnet)
        figure = {"layers": layers, "sparsity": sparsity, "granularity": report["granularity"]}
        plot_layer_sparsity(figure, args.out / f"report_{100 * sparsity:g}.png")
        kinds = ", ".join(f"{kind} {100 * share:.1f} %" for kind, share in subnet["kept_by_kind"].items())
        changed = "no such mask before" if subnet["changed_share"] is None else f"{100 * subnet['changed_share']:.1f} %"
        print(
            f"sparsity {100 * sparsity:g} %: {subnet['kept_parameters'] / 1e6:.2f} M of the encoder's "
            f"{report['encoder_parameters'] / 1e6:.2f} M parameters kept, {subnet['bytes'] / 1e6:.2f} MB of "
            f"{report['dense_bytes'] / 1e6:.2f} MB; kept of {kinds}; mask entries changed: {changed}"
        )
    plot_importance(histogram, str(rule.granularity), args.out / "importance.png")
    write_json(args.out / "report.json", report)


if __name__ == "__main__":
    run(main)
