"""Stage 2: wav2vec 2.0 pre-training of the supernet on speech without text."""

from collections.abc import Sequence
from pathlib import Path

from dualmode.cli import existing_dir, existing_file, make_parser, run


def get_parser():
    parser = make_parser(
        __doc__ + "\nWhat is not listed here is passed on to ESPnet's trainer, for example --max_epoch 20 --ngpu 1.",
        "pretrain",
    )
    parser.add_argument("--config", type=existing_file, required=True, help="YAML, see conf/tuning/pretrain*.yaml")
    parser.add_argument("--train", type=existing_dir, required=True, help="features of stage 1 to train on")
    parser.add_argument("--valid", type=existing_dir, required=True, help="features of stage 1 to validate on")
    parser.add_argument("--cmvn", type=existing_file, required=True, help="statistics of dualmode.bin.compute_cmvn")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model; a training in it is resumed")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, data order, masks and noise")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args, options = get_parser().parse_known_args(argv)
    from dualmode.tasks.launch import train  # ESPnet takes seconds to import; --help should not
    from dualmode.tasks.pretrain import PretrainTask

    options = ["--cmvn", str(args.cmvn), "--seed", str(args.seed), *options]
    train(PretrainTask, args.config, args.train, args.valid, args.out, options)


if __name__ == "__main__":
    run(main)
