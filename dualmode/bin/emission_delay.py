"""How long after they were said a streaming sub-network puts words out (emission delay), in ms of audio.

Reads   DECODE/decode.json, text and 1best_recog/{token,token_ms} of a greedy decoding, chunk by chunk
        word times of dualmode align, and the utterances' lengths
Writes  DECODE/emission_delay.json    count, mean, 50th and 90th percentile
        DECODE/emission_delay.png     histogram of the words' delays
"""

import argparse
from collections.abc import Sequence

from dualmode.cli import existing_dir, existing_file, make_parser, run
from dualmode.errors import UserError
from dualmode.models.options import add_model


def get_parser() -> argparse.ArgumentParser:
    parser = make_parser(__doc__, "emission_delay")
    add_model(parser, "model folder, for its token list", checkpoint=False)
    parser.add_argument(
        "--decode", type=existing_dir, required=True, metavar="DECODE", help="folder of a decoding, chunk by chunk"
    )
    parser.add_argument("--ctm", type=existing_file, required=True, metavar="FILE", help="when each word was said")
    parser.add_argument("--data", type=existing_dir, required=True, metavar="DIR", help="folder that was decoded")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    from dualmode.align.ctm import read_ctm
    from dualmode.align.decoded import read_emitted, streaming_context
    from dualmode.align.emission import Delays, delays
    from dualmode.data.tokens import Tokenizer
    from dualmode.decoding.inputs import open_inputs
    from dualmode.frames import FEATURE_MS
    from dualmode.results.decodes import read_meta
    from dualmode.results.delay_plot import plot_delays
    from dualmode.results.delay_table import terminal_lines
    from dualmode.results.delays import FIGURE, STATISTICS
    from dualmode.results.output import writable, write_json_file

    meta = read_meta(args.decode / "decode.json")
    context = streaming_context(args.decode, meta)
    inputs = open_inputs(args.data)
    durations_ms = {utt: FEATURE_MS * inputs.frames(utt) for utt in inputs}
    emitted = read_emitted(args.decode, Tokenizer.load(args.model / "tokens").kind, context, durations_ms)
    spoken = read_ctm(args.ctm)
    if missing := sorted(set(spoken) - set(emitted)):
        raise UserError(f"{args.ctm} has {missing[0]}, which {args.decode} has not: are they of the same set?")
    total = sum((delays(words, emitted[utt]) for utt, words in spoken.items()), Delays())
    if not total.word:
        raise UserError(f"no word of {args.ctm} was recognised in {args.decode}: there is no delay to measure")
    write_json_file(args.decode / STATISTICS, total.as_json())
    with writable(args.decode / FIGURE):
        plot_delays(total.word, meta, args.decode / FIGURE)
    print("\n".join(terminal_lines(total.as_json())))
    print(f"written: {args.decode / STATISTICS}, {FIGURE}")


if __name__ == "__main__":
    run(main)
