"""Check the YAML files of a recipe, each for itself and together, without data and before any work.

Named are unknown keys, impossible values, a fine-tuning of other sizes or masks than the pruning leaves, and a decoding
with a sub-network that is not trained. Schedules that do not fit into the length of a training are warned of.
"""

from collections.abc import Sequence
from pathlib import Path

from dualmode.bin.prune import sparsity_list
from dualmode.cli import existing_file, make_parser, run
from dualmode.models.options import model_folder


def get_parser():
    parser = make_parser(__doc__, "check_config")
    for name, what in (("pretrain", "stage 2"), ("prune", "stage 3"), ("asr", "stage 4")):
        parser.add_argument(f"--{name}", type=existing_file, metavar="YAML", help=f"configuration of {what}")
    for name in ("pretrain", "asr"):
        parser.add_argument(
            f"--{name}-args", default="", metavar="WORDS", help=f"more options for ESPnet's trainer, with --{name}"
        )
    parser.add_argument("--prune-args", default="", metavar="WORDS", help="more options for dualmode prune")
    parser.add_argument(
        "--sparsities", type=sparsity_list, metavar="LIST", help="in the place of those of --prune, separated by commas"
    )
    parser.add_argument(
        "--init",
        type=model_folder,
        metavar="MODEL",
        help="recogniser that stage 4 starts from, instead of stage 3's model",
    )
    parser.add_argument("--encoder-from", type=existing_file, metavar="YAML", help="completes encoder_conf of --asr")
    parser.add_argument(
        "--start",
        type=existing_file,
        metavar="YAML",
        help="config.yaml of what stage 4 starts from, before --prune if given",
    )
    parser.add_argument(
        "--start-unknown",
        action="store_true",
        help="stage 4 starts from a model that is not here: decodings are looked at by themselves",
    )
    parser.add_argument("--decode", type=existing_file, nargs="+", default=[], metavar="YAML", help="those of stage 5")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    from dualmode.tasks.quiet import quiet_imports

    with quiet_imports():
        from dualmode.bin.prune import check_utterances, wanted_rule
        from dualmode.bin.prune import get_parser as prune_parser
        from dualmode.decoding.settings import read_settings
        from dualmode.models.folder import ModelFolder
        from dualmode.supernet.subnet import Context, Subnet
        from dualmode.tasks.asr import AsrTask
        from dualmode.tasks.base import encoder_config_of
        from dualmode.tasks.check import check_decoding, named, pruned_config, settings_of, trained_config
        from dualmode.tasks.hand_over import inherited
        from dualmode.tasks.pretrain import PretrainTask
        from dualmode.tasks.settings import check_options
        from dualmode.tasks.start import starting_config

    def read(task, path, name, words):
        """Return a training's settings; print what does not fit into its length."""
        options = words.split()  # as the recipe does, to which quotes are letters
        with named(f"{path} with {name}"):
            check_options(task, options)
        settings = settings_of(task, path, options)
        for warning in task.warnings(settings):
            print(f"warning: {path}: {warning}")
        return settings.encoder_conf

    start, where = None, ""
    if args.pretrain:
        conf = read(PretrainTask, args.pretrain, "--pretrain-args", args.pretrain_args)
        start, where = trained_config(conf, None, str(args.pretrain), ""), str(args.pretrain)
    with named("--prune-args"):
        parser = prune_parser()
        for action in parser._actions:  # what stage 1 makes is not there yet
            action.type = action.type if action.type in (int, float, sparsity_list) else Path
        parser.set_defaults(sparsities=args.sparsities)  # in front of --prune-args, as in stage 3
        pruning = parser.parse_args([".", "--config", str(args.prune), "--out", ".", *args.prune_args.split()])
        check_utterances(pruning)
    rule = wanted_rule(pruning) if args.prune else {}
    if args.start:
        start, where = encoder_config_of(args.start), str(args.start)
    if start and args.prune:
        by = f"{args.prune} with {args.prune_args}" if args.prune_args else str(args.prune)
        start, where = pruned_config(start, rule, by), f"{where} with {by}"
    if args.init:
        start, where = starting_config(ModelFolder.open(args.init)), str(args.init)
    trained = start
    if args.asr:
        conf = read(AsrTask, args.asr, "--asr-args", args.asr_args)
        if args.encoder_from:
            conf = inherited(conf, encoder_config_of(args.encoder_from))
        trained = trained_config(conf, start, str(args.asr), where)
    decodings = {path: read_settings(path) for path in args.decode}
    for path, settings in decodings.items():
        if settings.get("lm") and not Path(settings["lm"]).is_file():
            print(f"warning: {path}: lm is {settings['lm']}, which is not there yet")
    for path, settings in decodings.items() if trained and not args.start_unknown else ():
        context = Context.from_ms(settings["chunk_ms"], settings["left_ms"], settings["lookahead_ms"])
        check_decoding(trained, Subnet(float(settings["sparsity"]), context), str(path))


if __name__ == "__main__":
    run(main)
