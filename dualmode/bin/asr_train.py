"""Stage 4: fine-tuning of the supernet with transcripts: both branches in each update, or one, in turn."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dualmode.cli import existing_dir, existing_file, run
from dualmode.data.tokens import copy_token_list
from dualmode.errors import UserError
from dualmode.models.options import ON_HUB, model_folder
from dualmode.tasks.options import seed_options, training_parser

if TYPE_CHECKING:
    from dualmode.tasks.asr import AsrTask


def get_parser():
    parser = training_parser(__doc__, "asr_train", "egs/*/conf/tuning/asr.yaml", needs_cmvn=False)
    parser.add_argument(
        "--tokens",
        type=existing_dir,
        metavar="DIR",
        help="token list of dualmode make-tokens (default: that of --init)",
    )
    parser.add_argument(
        "--init",
        type=model_folder,
        metavar="MODEL",
        help=f"to start from: a model folder, packed or not, or a sub-network; {ON_HUB}; of a recogniser with the same "
        "tokens all is taken, else the encoder with its masks (default: random weights)",
    )
    parser.add_argument(
        "--encoder-from",
        type=existing_file,
        metavar="YAML",
        help="without --init: configuration, such as the pre-training's, that completes encoder_conf",
    )
    return parser


def check_tokens(tokens: Path, out: Path) -> None:
    """Raise UserError if ``out`` holds a training with another vocabulary, whose tokens would change their meaning."""
    name, kept = "tokens.txt", out / "tokens"
    if not any(out.glob("*.pth")) or not (kept / name).is_file() or not (tokens / name).is_file():
        return
    if (kept / name).read_bytes() != (tokens / name).read_bytes():
        raise UserError(
            f"{out} holds a training with other tokens than {tokens}: use its own ({kept}), or train into another "
            "folder"
        )


def inherited_tokens(init: Path | None) -> Path:
    """Return the token list of the recogniser to start from; where there is none, it has to be named."""
    if init is None:
        raise UserError("without --init, --tokens is needed: a token list of dualmode make-tokens")
    if not (init / "tokens").is_dir():
        raise UserError(f"{init} is no recogniser and has no tokens: name a token list with --tokens")
    return init / "tokens"


def main(argv: Sequence[str] | None = None) -> None:
    args, options = get_parser().parse_known_args(argv)
    if args.init is None and args.cmvn is None:
        raise UserError("without --init, --cmvn is needed: mean and variance of dualmode compute-cmvn")
    from dualmode.tasks.quiet import quiet_imports

    with quiet_imports():  # ESPnet takes seconds to import; --help should not
        from dualmode.tasks.asr import AsrTask

    train_recogniser(AsrTask, args, options)


def train_recogniser(task: "type[AsrTask]", args: argparse.Namespace, options: list[str]) -> None:
    """Train, or go on, as the options of this command say; ``options`` are ESPnet's."""
    from dualmode.tasks.alone import check_alone
    from dualmode.tasks.check import settings_of
    from dualmode.tasks.launch import train

    check_alone(settings_of(task, args.config, options), args.out)
    tokens = args.tokens or inherited_tokens(args.init)
    check_tokens(tokens, args.out)
    # The model folder is complete in itself: decoding needs nothing outside it.
    if tokens.resolve() != (args.out / "tokens").resolve():
        copy_token_list(tokens, args.out / "tokens")
    if args.cmvn:
        options = ["--cmvn", str(args.cmvn), *options]
    options = [*seed_options(args.seed), "--token_dir", str(args.out / "tokens"), *options]
    if args.init:
        options = ["--init_encoder", str(args.init), *options]
    if args.encoder_from:
        options = ["--encoder_from", str(args.encoder_from), *options]
    train(task, args.config, args.train, args.valid, args.out, options)


if __name__ == "__main__":
    run(main)
