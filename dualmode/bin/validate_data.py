"""Check a Kaldi data folder before any time is spent on it.

Faults of the folder (duplicate or unsorted ids, text that is not UTF-8, files that contradict each other, commands in
wav.scp) stop at once.  Faults of single utterances (missing, empty or undecodable audio, another sample rate, stereo,
no text, text with a control character, no speaker, too short, too long; with --read-audio NaN samples and files cut
off) are listed in DIR/rejected.tsv with the reason and counted; the later commands leave these utterances out and say
so.  The command fails when more than --max-rejected percent are rejected.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from dualmode.cli import add_max_rejected, check_max_rejected, make_parser, run


def get_parser() -> argparse.ArgumentParser:
    parser = make_parser(__doc__, "validate_data")
    parser.add_argument("dir", metavar="DIR", type=Path, help="folder with wav.scp, text, utt2spk (spk2utt, utt2dur)")
    parser.add_argument("--no-text", action="store_true", help="unlabelled speech: the folder needs no text file")
    parser.add_argument("--read-audio", action="store_true", help="decode all audio instead of reading only headers")
    parser.add_argument("--sample-rate", type=int, default=16000, metavar="HZ", help="expected sample rate in Hz")
    add_max_rejected(parser)
    parser.add_argument("--min-ms", type=float, default=100.0, metavar="MS", help="shortest utterance in ms")
    parser.add_argument("--max-ms", type=float, default=40000.0, metavar="MS", help="longest utterance in ms")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes that read audio")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    # After the options, so that --help needs no numpy or soundfile.
    from dualmode.data.kaldi_dir import open_kaldi_dir
    from dualmode.data.rejection import stop_if_too_many, summarise, write_rejections
    from dualmode.data.validate import Limits, validate
    from dualmode_runtime.files import check_writable

    check_max_rejected(args.max_rejected)
    folder = open_kaldi_dir(args.dir, with_text=not args.no_text)
    check_writable(args.dir)  # rejected.tsv comes after hours of reading
    report = validate(folder, Limits(args.sample_rate, args.min_ms, args.max_ms), args.read_audio, args.jobs)
    listed_in = args.dir / "rejected.tsv"
    write_rejections(listed_in, report.rejections)
    stop_if_too_many(report.rejections, report.total, args.max_rejected, listed_in)
    kept = report.total - len(report.rejections)
    print(f"{args.dir}: {kept} utterances, {report.seconds / 3600:.2f} h, {report.speakers} speakers are good")
    if report.wordless:
        print(f"{args.dir}: {report.wordless} of them without words in text: what is recognised there counts as errors")
    if report.rejections:
        counts = f"{len(report.rejections)} of {report.total} rejected ({summarise(report.rejections)})"
        print(f"{args.dir}: {counts}, see {listed_in}")


if __name__ == "__main__":
    run(main)
