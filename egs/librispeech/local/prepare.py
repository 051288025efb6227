"""Kaldi folders from LibriSpeech and Libri-light: real read speech, 16 kHz.

    https://www.openslr.org/12                             LibriSpeech, CC BY 4.0
    https://github.com/facebookresearch/libri-light        Libri-light, to be downloaded by hand

    DIR/train-clean-100, DIR/test-other ...   ->  OUT/data/train_clean_100, OUT/data/test_other ...
    all --train-parts with transcripts        ->  OUT/data/train
    all --valid-parts                         ->  OUT/data/valid

A part without transcripts, or one of --unlabelled-parts, becomes a folder without text: speech for pre-training only.
Utterances and speakers are named as in Kaldi's recipe (the speaker is READER-CHAPTER); spk2gender comes from
SPEAKERS.TXT, durations from the headers.  One reader's lists are in memory at a time, whatever the size of the corpus.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import merge
from pathlib import Path

from download import fetch
from layout import Recording, read_genders, read_readers, readers
from parts import HOME, set_name

from dualmode.cli import existing_dir, run
from dualmode.data.kaldi_dir import table_writers
from dualmode.data.parallel import blocks, parallel_blocks
from dualmode.errors import UserError
from dualmode_runtime.tables import c_order, iterate_table

TABLES = ("wav.scp", "utt2spk", "spk2utt", "utt2dur", "text", "spk2gender")


@dataclass(frozen=True)
class Summary:
    """What a part holds."""

    utterances: int
    seconds: float
    transcripts: int


def prepare_part(part: Path, out: Path, genders: dict[str, str], with_text: bool, jobs: int) -> Summary:
    """Write the Kaldi folder ``out``; without transcripts it has no text, without genders no spk2gender.

    Raises:
        UserError: the part is not laid out as LibriSpeech or Libri-light.
    """
    utterances, seconds, transcripts = 0, 0.0, 0
    folders = readers(part)
    found = parallel_blocks(read_readers, blocks(folders, 1), jobs, f"reading {part.name} (readers)", len(folders))
    with table_writers(out, TABLES) as tables:
        for (recordings,) in found:
            recordings = [recording for recording in recordings if recording.audio or with_text]
            utterances += len(recordings)
            seconds += sum(recording.seconds or 0.0 for recording in recordings)
            transcripts += sum(recording.text is not None for recording in recordings)
            _write_reader(recordings, tables, genders, with_text)
    labelled = with_text and transcripts > 0
    for name, wanted in (("text", labelled), ("spk2gender", bool(genders))):
        if not wanted:
            (out / name).unlink()
    return Summary(utterances, seconds, transcripts if with_text else 0)


def _write_reader(recordings: Sequence[Recording], tables: dict, genders: dict[str, str], with_text: bool) -> None:
    speakers: dict[str, list[str]] = {}
    for recording in recordings:
        speakers.setdefault(recording.speaker, []).append(recording.utt)
        tables["utt2spk"].write(f"{recording.utt} {recording.speaker}\n")
        if recording.audio:
            tables["wav.scp"].write(f"{recording.utt} {recording.audio}\n")
        if recording.seconds:
            tables["utt2dur"].write(f"{recording.utt} {recording.seconds:.6f}\n")
        if with_text and recording.text is not None:
            tables["text"].write(f"{recording.utt} {recording.text}".rstrip() + "\n")
    for speaker in sorted(speakers, key=c_order):
        tables["spk2utt"].write(f"{speaker} {' '.join(speakers[speaker])}\n")
        if gender := genders.get(speaker.partition("-")[0]):
            tables["spk2gender"].write(f"{speaker} {gender}\n")


def combine(sources: Sequence[Path], out: Path) -> None:
    """Merge the lists of Kaldi folders into one folder; a list that one of them lacks is left out."""
    out.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        if not all((source / name).is_file() for source in sources):
            (out / name).unlink(missing_ok=True)
            continue
        with table_writers(out, [name]) as tables:
            rows = merge(*(iterate_table(source / name) for source in sources), key=lambda row: c_order(row[0]))
            tables[name].writelines(f"{key} {value}".rstrip() + "\n" for key, value in rows)


def check_roles(roles: dict[str, list[str]]) -> None:
    """Raise UserError if a part cannot be what it was asked to be."""
    for part in roles["unlabelled"]:
        for role in ("train", "valid", "test"):
            if part in roles[role]:
                raise UserError(f"{part} is one of --unlabelled-parts and of --{role}-parts: name it only once")
    names: dict[str, str] = {}
    for part in dict.fromkeys(part for parts in roles.values() for part in parts):
        if names.setdefault(set_name(part), part) != part:
            raise UserError(
                f"{part} and {names[set_name(part)]} would both be data/{set_name(part)}: rename one of them"
            )
        if set_name(part) in ("train", "valid"):
            raise UserError(f"{part} would be data/{set_name(part)}, which is put together from parts: rename it")


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "--librispeech-dir",
        type=existing_dir,
        metavar="DIR",
        help="folder that holds the parts, or its parent (default: they are downloaded to OUT/downloads/LibriSpeech)",
    )
    parser.add_argument(
        "--mirror", default=HOME, metavar="URL", help=f"where PART.tar.gz is downloaded from (default: {HOME})"
    )
    parser.add_argument("--train-parts", nargs="+", required=True, metavar="PART", help="to train on")
    parser.add_argument("--valid-parts", nargs="+", required=True, metavar="PART", help="to choose the best epoch by")
    parser.add_argument("--test-parts", nargs="+", required=True, metavar="PART", help="to decode")
    parser.add_argument(
        "--unlabelled-parts",
        nargs="*",
        default=[],
        metavar="PART",
        help="for pre-training only; a PART with a slash is a folder, laid out as LibriSpeech's or Libri-light's parts",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="work folder: writes DIR/data")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes (default: 2)")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    roles = {
        "train": args.train_parts,
        "valid": args.valid_parts,
        "test": args.test_parts,
        "unlabelled": args.unlabelled_parts,
    }
    check_roles(roles)
    root = (args.librispeech_dir or args.out / "downloads" / "LibriSpeech").absolute()
    if (root / "LibriSpeech").is_dir():
        root = root / "LibriSpeech"
    data, labelled = args.out / "data", {}
    for part in dict.fromkeys(part for parts in roles.values() for part in parts):
        if args.librispeech_dir is None and "/" not in part:
            fetch(part, root, args.mirror)
        speakers = root / "SPEAKERS.TXT"
        genders = read_genders(speakers) if speakers.is_file() else {}
        with_text = part not in roles["unlabelled"]
        summary = prepare_part(root / part, data / set_name(part), genders, with_text, args.jobs)
        labelled[part] = summary.transcripts > 0
        what = f"{summary.transcripts} transcripts" if labelled[part] else "no transcripts: for pre-training only"
        print(f"{set_name(part)}: {summary.utterances} utterances, {summary.seconds / 3600:.2f} h, {what}", flush=True)
    for role in ("valid", "test"):
        for part in roles[role]:
            if not labelled[part]:
                raise UserError(f"{root / part} has no transcripts: it cannot be one of --{role}-parts")
    train = [part for part in roles["train"] if labelled[part]]
    if not train:
        raise UserError(f"none of {', '.join(roles['train'])} has transcripts: name another part with --train-parts")
    combine([data / set_name(part) for part in train], data / "train")
    combine([data / set_name(part) for part in roles["valid"]], data / "valid")
    print(f"train: {', '.join(map(set_name, train))}; valid: {', '.join(map(set_name, roles['valid']))}")


if __name__ == "__main__":
    run(main)
