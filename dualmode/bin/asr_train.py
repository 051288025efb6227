"""Stage 4: fine-tuning of the supernet with transcripts, both branches at once."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from dualmode.cli import existing_dir, existing_file, make_parser, run


def get_parser():
    parser = make_parser(
        __doc__ + "\nWhat is not listed here is passed on to ESPnet's trainer, for example --max_epoch 20 --ngpu 1.",
        "asr_train",
    )
    parser.add_argument("--config", type=existing_file, required=True, help="YAML, see conf/tuning/asr*.yaml")
    parser.add_argument("--train", type=existing_dir, required=True, help="features of stage 1 to train on")
    parser.add_argument("--valid", type=existing_dir, required=True, help="features of stage 1 to validate on")
    parser.add_argument("--tokens", type=existing_dir, required=True, help="token list of dualmode.bin.make_tokens")
    parser.add_argument("--cmvn", type=existing_file, required=True, help="statistics of dualmode.bin.compute_cmvn")
    parser.add_argument(
        "--init", type=existing_dir, help="model folder that the encoder and its masks come from; else random weights"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the model; a training in it is resumed")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, data order and augmentation")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args, options = get_parser().parse_known_args(argv)
    from dualmode.tasks.asr import RecogniserTask  # ESPnet takes seconds to import; --help should not
    from dualmode.tasks.launch import train

    # The model folder is complete in itself: decoding needs nothing outside it.
    shutil.copytree(args.tokens, args.out / "tokens", dirs_exist_ok=True)
    options = ["--cmvn", str(args.cmvn), "--seed", str(args.seed), "--token_dir", str(args.out / "tokens"), *options]
    if args.init:
        options = ["--init_encoder", str(args.init), *options]
    train(RecogniserTask, args.config, args.train, args.valid, args.out, options)


if __name__ == "__main__":
    run(main)
