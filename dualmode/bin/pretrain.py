"""Stage 2: pre-training of the supernet on speech without text, by wav2vec 2.0 or BEST-RQ."""

from collections.abc import Sequence

from dualmode.cli import run
from dualmode.tasks.options import seed_options, training_parser


def get_parser():
    parser = training_parser(__doc__, "pretrain", "conf/tuning/pretrain*.yaml")
    parser.add_argument(
        "--max-ms",
        type=int,
        metavar="MS",
        help="cut longer recordings into equal pieces of at most this length (default: left whole)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args, options = get_parser().parse_known_args(argv)
    from dualmode.tasks.quiet import quiet_imports

    with quiet_imports():  # ESPnet takes seconds to import; --help should not
        from dualmode.tasks.launch import train
        from dualmode.tasks.pretrain import PretrainTask

    options = ["--cmvn", str(args.cmvn), *seed_options(args.seed), *options]
    train(PretrainTask, args.config, args.train, args.valid, args.out, options, args.max_ms)


if __name__ == "__main__":
    run(main)
