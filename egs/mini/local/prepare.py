"""Make the mini corpus: short home-control sentences, spoken by the espeak-ng synthesiser.

The speech is SYNTHETIC.  It serves to run the whole recipe in minutes and to compare methods; an error rate measured on
it says nothing about accuracy on people.

    set                   sentences                 voices
    train                 from the grammar          105 (7 accents x 15 variants)
    valid, test           not one of train's        the same
    test_unseen_voices    not one of train's        64 others, among them an accent that training never hears

No two of valid, test and test_unseen_voices share a sentence either.  Everything is drawn from --seed; the same options
give the same bytes on one machine, whatever --jobs.
"""

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from espeak import SAMPLE_RATE as ESPEAK_RATE
from espeak import Speech, speak
from grammar import sentences
from room import SAMPLE_RATE, record
from voices import SEEN, UNSEEN, Voice

from dualmode.cli import run
from dualmode.data.kaldi_dir import write_kaldi_dir
from dualmode.data.parallel import blocks, parallel_blocks
from dualmode.errors import UserError
from dualmode_runtime.files import atomic_path, atomic_write

SIZES = {"valid": 80, "test": 200, "test_unseen_voices": 200}
MEAN_UTTERANCE_S = 3.0  # of the grammar, these speaking rates and edges; turns --train-hours into utterances
RATE_WPM = (120, 190)
PITCH = (20, 80)
PITCH_RANGE = (30, 70)
# Part of what is made: each block is spoken by one process of espeak-ng, which remembers what it said before.
BLOCK = 25

README = """# Synthetic speech

Everything in this folder was spoken by the espeak-ng synthesiser (egs/mini/local/prepare.py, seed {seed}): a closed
grammar of home-control sentences, with noise and gain added.  It serves to run the recipe and to compare methods.
An error rate measured on it says nothing about accuracy on people.
"""


@dataclass(frozen=True)
class Utterance:
    """One utterance to make; ``seed`` decides what happens to the sound."""

    utt: str
    speaker: str
    out: Path
    speech: Speech
    seed: tuple[int, ...]


def plan(name: str, texts: Sequence[str], voices: Sequence[Voice], seed: int, folder: Path) -> list[Utterance]:
    """Give every sentence a speaker, the speakers in turn in a drawn order, and a manner of speaking."""
    rng = random.Random(f"{seed} voices {name}")
    deck: list[Voice] = []
    utterances = []
    for index, text in enumerate(texts):
        if not deck:
            deck = rng.sample(voices, len(voices))
        voice = deck.pop()
        speech = Speech(voice.espeak_name, rng.randint(*RATE_WPM), rng.randint(*PITCH), rng.randint(*PITCH_RANGE), text)
        utt = f"{voice.speaker}-{index:05d}"
        sound_seed = (seed, *name.encode(), index)
        utterances.append(Utterance(utt, voice.speaker, folder / f"{utt}.flac", speech, sound_seed))
    return utterances


def make_block(utterances: Sequence[Utterance]) -> list[tuple[Path, float]]:
    """Write the FLAC files of a block; return (file, seconds)."""
    durations = []
    spoken = speak([utterance.speech for utterance in utterances])
    for utterance, pcm in zip(utterances, spoken, strict=True):
        speech = np.frombuffer(pcm, dtype="<i2").astype(np.float32) / 32768
        samples = record(
            soxr.resample(speech, ESPEAK_RATE, SAMPLE_RATE, quality="HQ"), np.random.default_rng(utterance.seed)
        )
        with atomic_path(utterance.out) as tmp:
            soundfile.write(tmp, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
        durations.append((utterance.out, len(samples) / SAMPLE_RATE))
    return durations


def draw_sentences(sizes: dict[str, int], seed: int) -> dict[str, list[str]]:
    """Return the sentences of each set; those of train may repeat (other voices), the others are all different."""
    held_out: set[str] = set()
    texts = {}
    for name in SIZES:
        texts[name] = sentences(sizes[name], f"{seed} sentences {name}", frozenset(held_out), distinct=True)
        held_out.update(texts[name])
    texts["train"] = sentences(sizes["train"], f"{seed} sentences train", frozenset(held_out))
    return texts


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="work folder: writes DIR/data and DIR/downloads/audio"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="what everything is drawn from (default: 1)")
    parser.add_argument(
        "--train-hours", type=float, default=1.2, metavar="H", help="size of the train set, about, hours (default: 1.2)"
    )
    parser.add_argument("--small", type=int, metavar="N", help="N utterances in every set, for tests")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes (default: 2)")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    sizes = {"train": round(args.train_hours * 3600 / MEAN_UTTERANCE_S), **SIZES}
    if args.small is not None:
        sizes = dict.fromkeys(sizes, args.small)
    if min(sizes.values()) < 1:
        raise UserError("--train-hours and --small expect at least 1 utterance")
    if args.seed < 0:
        raise UserError(f"--seed {args.seed}: expected a number from 0 on")
    texts = draw_sentences(sizes, args.seed)
    utterances = {}
    for name in sizes:
        audio = args.out.resolve() / "downloads" / "audio" / name
        audio.mkdir(parents=True, exist_ok=True)
        voices = UNSEEN if name == "test_unseen_voices" else SEEN
        utterances[name] = plan(name, texts[name], voices, args.seed, audio)
    work = [block for members in utterances.values() for block in blocks(members, BLOCK)]
    made = parallel_blocks(make_block, work, args.jobs, "synthesising speech")
    seconds = dict(pair for block in made for pair in block)
    for name, members in utterances.items():
        write_kaldi_dir(
            args.out / "data" / name,
            wav_scp={utterance.utt: utterance.out for utterance in members},
            utt2spk={utterance.utt: utterance.speaker for utterance in members},
            text={utterance.utt: utterance.speech.text for utterance in members},
            utt2dur={utterance.utt: seconds[utterance.out] for utterance in members},
        )
        hours = sum(seconds[utterance.out] for utterance in members) / 3600
        print(f"{name}: {len(members)} synthetic utterances, {hours:.2f} h")
    with atomic_write(args.out / "data" / "README.md") as out:
        out.write(README.format(seed=args.seed))


if __name__ == "__main__":
    run(main)
