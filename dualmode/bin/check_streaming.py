"""Is streaming the same function as training?

Runs a model chunk by chunk, its audio fed in random pieces of 10 ms to 1 s, and all frames at once, as in training.
Prints how far the two are apart after every layer, and the algorithmic latency. Equal means: no output differs by more
than 1e-4, and every frame has the same best token. The exit status is 0 only if all sub-networks are equal, and the
verdict is the last line.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from dualmode.cli import existing_file, make_parser, run, seed
from dualmode.errors import UserError
from dualmode.models.options import ENCODER, add_model, add_weights, chosen_name

SECONDS = (0.05, 0.3, 2.0, 7.31)


def get_parser() -> argparse.ArgumentParser:
    parser = make_parser(__doc__, "check_streaming")
    add_model(parser, ENCODER, nargs="?")
    parser.add_argument(
        "--config", type=existing_file, metavar="YAML", help="instead of a model: settings of one, with random weights"
    )
    parser.add_argument(
        "--audio",
        nargs="+",
        type=existing_file,
        metavar="FILE",
        help=f"16 kHz mono files; without them, noise of {', '.join(map(str, SECONDS))} s",
    )
    add_weights(parser, "check it only: dense, sparse, or one sparsity such as sparse_0.8 (default: all of the model)")
    asked = "check one context only, "
    parser.add_argument(
        "--chunk-ms", type=float, metavar="MS", help=asked + "of this chunk (default: all contexts of the model)"
    )
    parser.add_argument(
        "--left-ms",
        type=float,
        metavar="MS",
        help=asked + "of this left context (default: what the model was "
        "validated with, where another of the three is given)",
    )
    parser.add_argument(
        "--lookahead-ms", type=float, metavar="MS", help=asked + "of this look-ahead past the chunk (default: as above)"
    )
    parser.add_argument(
        "--right-ms", type=float, dest="lookahead_ms", default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )
    parser.add_argument("--force", action="store_true", help="also check a context that the model was not trained for")
    parser.add_argument(
        "--seed", type=seed, default=0, metavar="N", help="of the pieces, of the noise, and of random weights"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = get_parser().parse_args(argv)
    if (args.model is None) == (args.config is None):
        raise UserError("give either a model folder or --config YAML")
    import numpy as np

    from dualmode.encoder.check import TOLERANCE, compare, pieces_of

    encoder, posteriors = load(args)
    subnets = chosen_subnets(encoder.config, args)
    random = np.random.default_rng(args.seed)
    signals = read_audio(args.audio) if args.audio else {f"noise of {s} s": noise(s, random) for s in SECONDS}
    different = []
    for subnet in subnets:
        print(f"{subnet}; algorithmic latency {subnet.context.latency_ms:g} ms at most")
        results = []
        for name, audio in signals.items():
            pieces = list(pieces_of(audio, random))
            result = compare(encoder, audio, subnet, pieces, posteriors)
            results.append(result)
            if not result.equal:
                what = "best tokens" if result.first_ms is None else f"output from the frame at {result.first_ms} ms on"
                print(f"  {name}: DIFFERENT {what}")
                different.append(f"{name} as {subnet}")
        for layer in results[0].differences:
            print(f"  {layer:<16} largest difference {max(result.differences[layer] for result in results):.1e}")
    if different:
        print(f"DIFFERENT: {len(different)} of {len(subnets) * len(signals)} comparisons, the first is {different[0]}")
        return 1
    print(
        f"EQUAL: {len(subnets)} sub-networks on {len(signals)} signals, every output within {TOLERANCE:g}"
        + (", every best token the same" if posteriors else "")
    )
    return 0


def load(args: argparse.Namespace):
    """Return the encoder, in evaluation mode, and the CTC head's posteriors; None where there is no such head."""
    import torch

    from dualmode.asr.build import build_encoder
    from dualmode.encoder.conformer import give_weights
    from dualmode.models.folder import ModelFolder
    from dualmode.models.yaml_file import read_yaml
    from dualmode.supernet.pruning import estimate_masks

    if args.config:
        torch.manual_seed(args.seed)
        encoder = build_encoder(read_yaml(args.config)).eval()
        give_weights(encoder)
        estimate_masks(encoder, encoder.config.pruning)
        return encoder, None
    folder = ModelFolder.open(args.model, args.checkpoint)
    if folder.has_tokens:
        model = folder.supernet()
        return model.encoder, None if model.head is None else model.posteriors
    return folder.encoder(), None


def chosen_subnets(config, args: argparse.Namespace) -> list:
    """Return the sub-networks to check; one that the model was not trained for is a UserError without --force."""
    from dualmode.models.choice import choose_sparsity, choose_subnet
    from dualmode.supernet.subnet import Subnet

    contexts = [context for context in config.contexts if context.chunk]
    asked = (args.chunk_ms, args.left_ms, args.lookahead_ms)
    if any(value is not None for value in asked):
        wanted = choose_subnet(config, "sparse" if config.masked else "dense", *asked).context
        if wanted not in contexts and not args.force:
            have = "; ".join(map(str, contexts))
            raise UserError(f"this model was not trained for: {wanted}; it was for: {have} (--force checks it)")
        contexts = [wanted]
    name = chosen_name(args)
    sparsities = [0.0, *config.masked] if name is None else [choose_sparsity(config, name)]
    return [Subnet(sparsity, context) for sparsity in sparsities for context in contexts]


def read_audio(paths: Sequence[Path]) -> dict:
    """Return the samples of each file, by its name."""
    from dualmode.frames import SAMPLE_RATE
    from dualmode_runtime.audio.fault import AudioFault
    from dualmode_runtime.audio.reading import read_audio

    try:
        return {path.name: read_audio(path, SAMPLE_RATE) for path in paths}
    except AudioFault as fault:
        raise UserError(fault.detail) from fault


def noise(seconds: float, random):
    """Return noise (samples,) at a tenth of full scale, about as loud as speech."""
    return (0.1 * random.standard_normal(round(16000 * seconds))).clip(-1, 1).astype("float32")


if __name__ == "__main__":
    run(main)
