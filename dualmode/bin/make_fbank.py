"""Make the features of a data set: log-mel filter banks, 80 bins, 25 ms every 10 ms, as the device's runtime has them.

Reads 16 kHz mono audio from a Kaldi folder, leaves out the utterances of DATA/rejected.tsv (of dualmode validate-data),
and writes feats.scp, text, utt2spk, spk2utt, utt2num_frames, speech_shape, rejected.tsv, warned.tsv and archives of 200
utterances each in shards/.  A folder without a text file is unlabelled speech.  A killed run goes on where it was.

Several machines share the work with --part 1/8, --part 2/8 ...; the command without --part then makes what is missing
and joins all.

With --tokens, utterances whose transcript has characters outside the token list, or which are too short for their
transcript, are found.  --unseen reject (training sets) leaves them out and lists them in rejected.tsv; --unseen warn
(test sets) keeps them and lists them in warned.tsv, since leaving them out would flatter the word error rate.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dualmode.cli import add_max_rejected, check_max_rejected, check_name, existing_dir, make_parser, run
from dualmode.cluster.parts import Part, add_options, check_options, run_parts
from dualmode.errors import UserError
from dualmode.frames import FRAME_MS


def get_parser() -> argparse.ArgumentParser:
    parser = make_parser(__doc__, "make_fbank")
    parser.add_argument("--data", type=existing_dir, required=True, metavar="DATA", help="Kaldi folder to read")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="feature folder to write")
    parser.add_argument(
        "--speeds", default="1", metavar="LIST", help="speed factors, a copy of the set for each, such as 0.9,1.0,1.1"
    )
    parser.add_argument(
        "--value-bytes",
        type=int,
        choices=(4, 2, 1),
        default=4,
        help="of a feature on disk: 4 is float32; 2 and 1 are compressed, the loss of 2 is below that of float16",
    )
    parser.add_argument("--tokens", type=existing_dir, metavar="DIR", help="token list to check transcripts against")
    parser.add_argument(
        "--unseen",
        choices=("reject", "warn"),
        default="reject",
        help="what to do with transcripts that the token list or the utterance's length cannot spell",
    )
    add_max_rejected(parser)
    parser.add_argument("--part", metavar="I/N", help="make every N-th shard only, from the I-th on, and join nothing")
    add_options(parser)
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if argv is None else list(argv)
    args = get_parser().parse_args(arguments)
    from dualmode.data.kaldi_dir import open_kaldi_dir
    from dualmode.data.make_fbank import Checks, FeatureSet, make_fbank, make_part
    from dualmode.data.rejection import rejected_ids, summarise
    from dualmode.data.speed import parse_speeds
    from dualmode.data.tokens import Tokenizer

    check_options(args)
    check_max_rejected(args.max_rejected)
    if args.out.resolve() == args.data.resolve():
        raise UserError(f"--out {args.out} is the data folder itself: it would be replaced")
    check_name(args.out.resolve())  # feats.scp has the whole path
    listed = args.data / "rejected.tsv"
    skip = rejected_ids(listed)
    folder = open_kaldi_dir(args.data, with_text=(args.data / "text").is_file())
    tokenizer = Tokenizer.load(args.tokens) if args.tokens else None
    if tokenizer and not folder.with_text:
        raise UserError(f"--tokens was given, but {args.data} has no text file to check")
    checks = Checks(tokenizer, args.unseen == "warn", args.max_rejected)
    features = FeatureSet(folder, args.out, parse_speeds(args.speeds), checks, skip, args.value_bytes)
    if args.part:
        made = make_part(features, Part.parse(args.part), args.jobs)
        print(f"{args.out}: part {args.part}: {made} shards made")
        return
    if args.cmd:
        run_parts(args, "dualmode.bin.make_fbank", arguments)
    result = make_fbank(features, args.jobs)
    kept = result.total - len(result.rejected)
    print(f"{args.out}: features of {kept} utterances, {result.frames / 360000:.2f} h")
    if skip:
        print(f"{args.out}: {len(skip)} utterances left out that {listed} lists")
    if result.rejected:
        counts = f"{len(result.rejected)} of {result.total} rejected ({summarise(result.rejected)})"
        print(f"{args.out}: {counts}, see {args.out}/rejected.tsv")
    if result.hurried:
        print(
            f"{args.out}: {result.hurried} of {kept} have fewer than two frames of {FRAME_MS} ms a token, from which "
            "CTC learns little; longer tokens have more (--token-type bpe of the recipes)"
        )
    if result.warned:
        counts = f"{len(result.warned)} kept that cannot be recognised without error ({summarise(result.warned)})"
        print(f"{args.out}: warning: {counts}, see {args.out}/warned.tsv")
    if result.advice:
        print(f"{args.out}: {result.advice}")


if __name__ == "__main__":
    run(main)
