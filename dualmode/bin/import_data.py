"""Import a corpus as it is into the Kaldi folders that the recipes read.

SOURCE is a manifest of JSON lines (NeMo's keys), a CSV or TSV file, a folder of Common Voice, a Hugging Face
audiofolder, a Kaldi folder (with segments or without), or cuts of lhotse. Several are taken together. SET=SOURCE says
that all of it is one set, as in train=a.tsv test=b.tsv; else the corpus's own sets are kept. Sets valid and test that
the corpus does not have are split off from train, by speaker.

Audio of any rate and number of channels is brought to 16 kHz mono; what is so already is used where it lies. Recordings
are cut where the corpus says so. Commands in data are never run.

Writes OUT/data/<set> (wav.scp, text, utt2spk, spk2utt, utt2dur, and in recordings those that were cut or converted),
OUT/data/import.json (counts, hours, characters), OUT/data/import_rejected.tsv (what is left out, and why),
OUT/data/import_warned.tsv (what is kept in test sets although it cannot be recognised without error: transcripts
without words, or with what --tokens cannot spell), OUT/data/import_renamed.tsv (utterances whose id another recording
has, too) and OUT/downloads/audio (files that had to be made).
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from dualmode.cli import add_max_rejected, check_max_rejected, check_name, existing_dir, make_parser, run, seed
from dualmode.data.corpus.text_rule import RULES
from dualmode.errors import UserError
from dualmode_runtime.transcribe import add_channel, read_channel


def get_parser() -> argparse.ArgumentParser:
    parser = make_parser(__doc__, "import_data")
    parser.add_argument("sources", nargs="+", metavar="[SET=]SOURCE", help="what to import")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="work folder, such as egs/mine")
    rules = "; ".join(f"{name} ({rule.about})" for name, rule in RULES.items())
    parser.add_argument("--text-rule", choices=list(RULES), default="keep", help=f"of transcripts: {rules}")
    parser.add_argument(
        "--numbers",
        choices=("keep", "reject"),
        default="keep",
        help="transcripts with digits or signs that are said, such as %%: keep them, or leave these utterances out",
    )
    parser.add_argument(
        "--tokens",
        type=existing_dir,
        metavar="DIR",
        help="token list, or model folder, that the data is for: what it cannot spell is left out, but not of tests",
    )
    parser.add_argument(
        "--columns",
        default="",
        metavar="WHAT=NAME,...",
        help="columns by their names: audio=wav,text=words; offset= alone says that none holds it",
    )
    parser.add_argument("--audio-dir", type=existing_dir, metavar="DIR", help="what paths in tables are relative to")
    add_channel(parser)
    parser.add_argument("--valid-share", type=float, default=5.0, metavar="PERCENT", help="of train, in percent")
    parser.add_argument("--test-share", type=float, default=5.0, metavar="PERCENT", help="of train, in percent")
    parser.add_argument(
        "--split-by", choices=("speaker", "utterance"), default="speaker", help="what is drawn for valid and test"
    )
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="seed of what is drawn for valid and test")
    parser.add_argument("--copy", action="store_true", help="copy audio that could be used where it lies")
    parser.add_argument("--min-ms", type=float, default=100.0, metavar="MS", help="shortest utterance in ms")
    parser.add_argument("--max-ms", type=float, default=40000.0, metavar="MS", help="longest utterance in ms")
    add_max_rejected(parser)
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes that prepare audio")
    parser.add_argument("--check-options", action="store_true", help="say whether these options can be, and do no more")
    return parser


def check_numbers(args: argparse.Namespace) -> None:
    """Raise UserError unless the shares leave something to train on, and the lengths some utterances."""
    if args.jobs < 1:
        raise UserError(f"--jobs is {args.jobs}: it must be at least 1")
    if not 0 <= args.min_ms < args.max_ms:
        raise UserError(f"--min-ms {args.min_ms:g} and --max-ms {args.max_ms:g} leave no utterance")
    shares = (args.valid_share, args.test_share)
    if not all(share >= 0 for share in shares) or not sum(shares) <= 50:
        raise UserError(
            f"--valid-share {shares[0]:g} and --test-share {shares[1]:g}: expected percent, at most 50 in all"
        )


def sets_of_before(path: Path) -> set[str]:
    """Return the sets that an import.json names; none where there is none that can be read."""
    try:
        return set(map(str, json.loads(path.read_text(encoding="utf-8"))["sets"]))
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def keep_others_out(path: Path) -> None:
    """Take the lock of a work folder until this process ends: the lists of two imports would be mixed.

    Raises:
        UserError: another import has it.
    """
    from dualmode.data.folder import take_lock

    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)  # closed with the process
    try:
        if not take_lock(file):
            print(f"warning: {path.parent} is on a disk without locks: let no second import run in it", file=sys.stderr)
    except BlockingIOError:
        raise UserError(f"another import is at work in {path.parent}: wait for it, or name another --out") from None


def remove_sets(data: Path, names: Iterable[str]) -> list[Path]:
    """Remove sets of an earlier import; return them.  The recipe would decode a test set that is trained on by now."""
    from dualmode.data.corpus.row import is_set_name

    folders = [data / name for name in sorted(names) if is_set_name(name)]
    folders = [folder for folder in folders if folder.is_dir() and not (folder / "segments").exists()]
    for folder in folders:
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(folder)
    return folders


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    check_max_rejected(args.max_rejected)
    check_numbers(args)
    check_name(args.out.resolve())  # wav.scp has the whole path
    channel = read_channel(args.channel)
    from dualmode.data.corpus.audio_files import Conversion
    from dualmode.data.corpus.catalogue import Catalogue
    from dualmode.data.corpus.importing import (
        Heard,
        Plan,
        check_rejected,
        check_sets,
        check_sources_apart,
        check_words,
        make_audio,
        read,
        sets_to_split_off,
        split_off,
        write_renamed,
        write_sets,
    )
    from dualmode.data.corpus.sources import Reading, parse_source, rows_of
    from dualmode.data.corpus.summary import advice, lines, summary
    from dualmode.data.corpus.tables import parse_columns
    from dualmode.data.corpus.text_rule import named_rule, offer
    from dualmode.data.rejection import write_rejections
    from dualmode.data.tokens import Tokenizer
    from dualmode.progress import progress
    from dualmode_runtime.files import write_json

    sources = [parse_source(source) for source in args.sources]
    shares = {"valid": args.valid_share / 100, "test": args.test_share / 100}
    named = [source.part for source in sources if source.part]
    if len(named) == len(sources):  # what sets there are is known before anything is read
        sets_to_split_off(shares, set(named))
    reading = Reading(parse_columns(args.columns), args.audio_dir)
    tokens = args.tokens and (args.tokens / "tokens" if (args.tokens / "tokens").is_dir() else args.tokens)
    data = args.out / "data"
    check_sources_apart((source.path for source in sources), data)
    # Before audio is made; a table may name other sets, which are looked at when they are known.
    foreseen = {*named, *(name for name, share in shares.items() if share)}
    check_sets(foreseen if len(named) == len(sources) else {*foreseen, "train"}, data)
    how = Conversion(args.out / "downloads" / "audio", args.copy, args.min_ms, args.max_ms)
    tokenizer = Tokenizer.load(tokens) if tokens else None
    plan = Plan(named_rule(args.text_rule), args.numbers == "keep", tokenizer, how, channel and channel - 1)
    if args.check_options:
        return
    data.mkdir(parents=True, exist_ok=True)
    keep_others_out(data / ".import.lock")
    earlier = sets_of_before(data / "import.json")
    heard = Heard()
    rejected, warned, renamed = (data / f"import_{name}.tsv" for name in ("rejected", "warned", "renamed"))
    with Catalogue(data / ".import.sqlite") as catalogue:
        kinds = {}
        for source in sources:
            kind, rows = rows_of(source, reading)
            before = heard.total
            read(progress(rows, f"reading {source.path}"), plan, catalogue, heard)
            kinds[str(source.path)] = kind
            print(f"{source.path}: {kind}, {heard.total - before} utterances", flush=True)
        help_with_text = offer(heard.uncovered, tokenizer.unseen) if tokenizer else ""
        check_rejected(catalogue, heard.total, args.max_rejected, help_with_text, rejected)
        check_words(catalogue)
        make_audio(catalogue, how, args.jobs)
        check_rejected(catalogue, heard.total, args.max_rejected, "", rejected)
        made = split_off(catalogue, shares, args.seed, args.split_by == "speaker")
        if made:
            by = "" if heard.without_speaker == 0 else " (each utterance without a speaker counts as one)"
            print(f"split off from train, by {args.split_by}: {', '.join(made)}{by}")
        check_sets(catalogue.parts(), data)
        write_sets(catalogue, data)
        write_rejections(warned, catalogue.warnings())
        write_renamed(catalogue, renamed)
        removed = remove_sets(data, earlier - set(catalogue.parts()))
        report = summary(catalogue, heard.total, heard.characters, sources=kinds, text_rule=args.text_rule)
    write_json(data / "import.json", report)
    print("\n".join(lines(report)))
    if removed:
        print(f"removed: {', '.join(map(str, removed))}, of an earlier import, which this one does not make")
    if report["rejected"]:
        print(f"what is rejected is listed in {rejected}")
    if report["warned"]:
        print(f"what is warned of is listed in {warned}")
    if report["renamed"]["utterances"]:
        print(f"what is renamed is listed in {renamed}")
    for note in [help_with_text] if tokenizer else advice(heard.characters):
        if note:
            print(note)


if __name__ == "__main__":
    run(main)
