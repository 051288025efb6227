"""Kaldi folders from speechocean762: read English sentences, Mandarin speakers, half of them children, 16 kHz.

    https://github.com/jimbozhang/speechocean762      also https://www.openslr.org/101; free for any use (its README)

    set      speakers
    train    those of the corpus's train split, without
    valid    10 of them, half children and half adults, drawn by --seed
    test     those of the corpus's test split: none of them is heard in training

Each --more-speech DIR is a Kaldi folder or a part of LibriSpeech: with transcripts it joins train, without it becomes a
folder of its own without text, for pre-training only.

test/utt2subsets says of each utterance what the results are broken down by: child or adult (of 18 years and more), and
new_prompt where no speaker of the train split reads the same sentence.
"""

import argparse
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from dualmode.cli import existing_dir, run
from dualmode.data.kaldi_dir import read_table, write_kaldi_dir, write_table
from dualmode.data.repository import get_repository
from dualmode.errors import UserError

HOME = "https://github.com/jimbozhang/speechocean762.git"
ADULT = 18  # years
VALID_SPEAKERS = 10
READER = re.compile(r"[0-9]+")


@dataclass(frozen=True)
class Corpus:
    """Utterances by id; ``texts`` lacks those without a transcript."""

    audio: dict[str, Path]
    speakers: dict[str, str]
    texts: dict[str, str]

    def chosen(self, utterances: Collection[str]) -> "Corpus":
        """Return these utterances alone."""
        tables = (self.audio, self.speakers, self.texts)
        return Corpus(*({utt: table[utt] for utt in table if utt in utterances} for table in tables))

    def of(self, speakers: Collection[str]) -> "Corpus":
        """Return the utterances of these speakers."""
        return self.chosen({utt for utt, speaker in self.speakers.items() if speaker in speakers})

    def joined(self, other: "Corpus", origin: Path) -> "Corpus":
        """Return both; an utterance of both is a UserError that names ``origin``, where the other is from."""
        if twice := sorted(self.audio.keys() & other.audio.keys()):
            raise UserError(f"{origin}: the utterance {twice[0]} is there already: give it another name")
        return Corpus(self.audio | other.audio, self.speakers | other.speakers, self.texts | other.texts)

    def write(self, folder: Path, with_text: bool = True) -> str:
        """Write a Kaldi folder; return what is in it, in words."""
        seconds = {utt: duration for utt, path in self.audio.items() if (duration := read_duration(path)) is not None}
        write_kaldi_dir(folder, self.audio, self.speakers, self.texts if with_text else None, seconds)
        hours, people = sum(seconds.values()) / 3600, len(set(self.speakers.values()))
        return f"{folder.name}: {len(self.audio)} utterances, {hours:.2f} h, {people} speakers"


def read_duration(path: Path) -> float | None:
    """Return seconds by the header; audio without one that can be read is validation's business."""
    try:
        return soundfile.info(str(path)).duration
    except soundfile.SoundFileError:
        return None


def read_split(folder: Path) -> tuple[Corpus, dict[str, int]]:
    """Return a split of the corpus and the age of its speakers, in years.

    Raises:
        UserError: a list is missing or damaged, or does not fit the others.
    """
    tables = {name: read_table(folder / name) for name in ("wav.scp", "utt2spk", "text")}
    for name in ("utt2spk", "text"):
        if tables[name].keys() != tables["wav.scp"].keys():
            odd = sorted(tables[name].keys() ^ tables["wav.scp"].keys())[0]
            raise UserError(
                f"{folder}: wav.scp and {name} do not have the same utterances: {odd} is in one of them only"
            )
    root = folder.parent.resolve()
    audio = {utt: inside(root, path, folder / "wav.scp") for utt, path in tables["wav.scp"].items()}
    # The corpus does not sort this list.
    listed = dict(line.split() for line in read_lines(folder / "spk2age") if len(line.split()) == 2)
    ages = {}
    for speaker in set(tables["utt2spk"].values()):
        age = listed.get(speaker, "")
        if not age.isdecimal():
            raise UserError(f"{folder / 'spk2age'}: the speaker {speaker} has the age {age!r}: expected years")
        ages[speaker] = int(age)
    return Corpus(audio, tables["utt2spk"], tables["text"]), ages


def read_lines(path: Path) -> list[str]:
    """Return the lines of a small file; one that is not there is a UserError."""
    if not path.is_file():
        raise UserError(f"there is no file {path}: is the corpus complete?")
    return path.read_text(encoding="utf-8").splitlines()


def inside(root: Path, path: str, table: Path) -> Path:
    """Return a path that a list of the corpus names; one that leads out of the corpus is a UserError."""
    full = (root / path).resolve()
    if not full.is_relative_to(root):
        raise UserError(f"{table}: {path} is outside the corpus: nothing of it is used")
    return full


def draw_valid(ages: Mapping[str, int], seed: int) -> set[str]:
    """Return speakers to validate on, half of them children, drawn by ``seed``.

    Raises:
        UserError: too few speakers would be left to train on.
    """
    random, drawn = np.random.default_rng([seed, 3]), set()
    for child in (True, False):
        group = sorted(speaker for speaker, age in ages.items() if (age < ADULT) == child)
        count = min(VALID_SPEAKERS // 2, len(group) // 2)
        drawn |= {group[i] for i in random.permutation(len(group))[:count]}
    if not drawn or len(drawn) == len(ages):
        raise UserError("the train split has too few speakers to hold some for validation: is the corpus complete?")
    return drawn


def subsets(test: Corpus, ages: Mapping[str, int], train: Corpus) -> dict[str, str]:
    """Return what each test utterance's result also counts for, separated by blanks."""
    heard = set(train.texts.values())
    table = {}
    for utt, speaker in test.speakers.items():
        names = ["child" if ages[speaker] < ADULT else "adult"]
        if test.texts[utt] not in heard:
            names.append("new_prompt")
        table[utt] = " ".join(names)
    return table


def read_more(folder: Path) -> Corpus:
    """Return the utterances of a Kaldi folder or of a part of LibriSpeech.

    Raises:
        UserError: it is neither.
    """
    if (folder / "wav.scp").is_file():
        audio = {}
        for utt, path in read_table(folder / "wav.scp").items():
            if path.endswith("|"):
                raise UserError(
                    f"{folder / 'wav.scp'}: {utt} is a command: data must never start a program; make files of it"
                )
            audio[utt] = Path(path).absolute()
        texts = read_table(folder / "text") if (folder / "text").is_file() else {}
        return Corpus(audio, read_table(folder / "utt2spk"), {utt: texts[utt] for utt in texts if utt in audio})
    audio, speakers, texts = {}, {}, {}
    for path in sorted(folder.glob("*/*/*.flac")):
        reader, chapter, name = path.parts[-3:]
        if READER.fullmatch(reader) and not any(part.startswith(".") for part in (chapter, name)):
            audio[path.stem], speakers[path.stem] = path.absolute(), f"{reader}-{chapter}"
    for path in sorted(folder.glob("*/*/*.trans.txt")):
        texts |= {utt: text for utt, text in read_table(path).items() if utt in audio}
    if not audio:
        raise UserError(f"--more-speech {folder}: this is neither a Kaldi folder (wav.scp) nor a part of LibriSpeech")
    return Corpus(audio, speakers, texts)


def clone(folder: Path) -> Path:
    """Return ``folder``, got from its public home unless it is there already; a failure is a UserError."""
    if not folder.is_dir():
        repair = (
            "get the corpus by other means (https://www.openslr.org/101) and give its folder with --speechocean-dir"
        )
        get_repository(HOME, folder, "speechocean762", "700 MB", repair)
    return folder


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "--speechocean-dir", type=existing_dir, metavar="DIR", help="the corpus (default: cloned into OUT/downloads)"
    )
    parser.add_argument(
        "--more-speech", nargs="*", type=existing_dir, default=[], metavar="DIR", help="for training, too"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="work folder: writes DIR/data")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="what is drawn follows from it (default: 1)")
    parser.add_argument("--small", type=int, metavar="N", help="N utterances in every set, for tests")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="not used: headers are read in seconds")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    if args.small is not None and args.small < 1:
        raise UserError(f"--small {args.small}: expected at least 1 utterance")
    root = args.speechocean_dir or clone(args.out / "downloads" / "speechocean762")
    spoken, ages = read_split(root / "train")
    test, test_ages = read_split(root / "test")
    held = draw_valid(ages, args.seed)
    sets = {"train": spoken.of(set(ages) - held), "valid": spoken.of(held), "test": test}
    if args.small:
        sets = {name: corpus.chosen(set(list(corpus.audio)[: args.small])) for name, corpus in sets.items()}
    pool = {}
    for folder in args.more_speech:
        more = read_more(folder)
        if more.texts:
            silent = len(more.audio) - len(more.texts)
            print(
                f"{folder}: {len(more.texts)} utterances with transcripts join train"
                + f", {silent} have none" * bool(silent)
            )
            sets["train"] = sets["train"].joined(more.chosen(more.texts), folder)
        if len(more.texts) < len(more.audio):
            pool[set_name(folder)] = more.chosen(more.audio.keys() - more.texts.keys())
    for name, corpus in sets.items():
        print(corpus.write(args.out / "data" / name))
    write_table(args.out / "data" / "test" / "utt2subsets", subsets(sets["test"], test_ages, spoken))
    for old in sorted((args.out / "data").glob("more_*")):  # of an earlier run: it would be pre-trained on
        if old.name not in pool:
            shutil.rmtree(old)
    for name, corpus in pool.items():
        print(corpus.write(args.out / "data" / name, with_text=False) + ", no transcripts: for pre-training only")


def set_name(folder: Path) -> str:
    """Return the name of the data folder for what has no transcripts; run.sh forms it alike."""
    return "more_" + re.sub(r"[^A-Za-z0-9_]", "_", folder.resolve().name)


if __name__ == "__main__":
    run(main)
