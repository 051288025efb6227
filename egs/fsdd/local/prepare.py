"""Make connected-digit sets from the Free Spoken Digit Dataset: real people, 8 kHz, six speakers.

    https://github.com/Jakobovski/free-spoken-digit-dataset      recordings/{digit}_{speaker}_{index}.wav, CC BY-SA 4.0

An utterance is a string of 3 to 7 recordings of one speaker with pauses between them:

    [edge] seven [pause] one [pause] one [pause] nine [edge]      "seven one one nine"

Edges and pauses last 50 to 400 ms and are low-level noise or digital silence.  The pauses are put in by this program:
nobody said these strings in one go, so the words do not run into each other as in connected speech.

    set                    recordings
    train, valid           indices 5-49 of all speakers but the held-out one; no recording is in both
    test                   indices 0-4 (the data set's own test split) of the same speakers
    test_unseen_speaker    all recordings of the held-out speaker, of whom training hears nothing

Everything is drawn from --seed; the same options give the same bytes.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from dualmode.cli import existing_dir, run
from dualmode.data.kaldi_dir import write_kaldi_dir
from dualmode.data.parallel import blocks, parallel_blocks
from dualmode.data.repository import get_repository
from dualmode.errors import UserError
from dualmode_runtime.audio.fault import AudioFault
from dualmode_runtime.audio.reading import read_audio
from dualmode_runtime.files import atomic_path

HOME = "https://github.com/Jakobovski/free-spoken-digit-dataset.git"
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RATE_IN, RATE_OUT = 8000, 16000
TEST_INDICES = range(5)
VALID_SHARE = 0.1
SHORTEST, LONGEST = 3, 7  # digits in a string
GAP_MS = (50, 400)
NOISE_DBFS = (-75.0, -55.0)
SILENT_SHARE = 0.3  # of the strings have digital silence in their gaps, as padded or gated audio has
NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>[a-z]+)_(?P<index>[0-9]+)\.wav")


@dataclass(frozen=True)
class Recording:
    """One spoken digit."""

    path: Path
    digit: int
    speaker: str
    index: int


@dataclass(frozen=True)
class DigitString:
    """One utterance to write; ``seed`` decides its gaps."""

    utt: str
    out: Path
    recordings: tuple[Recording, ...]
    seed: tuple[int, ...]


def find_recordings(folder: Path) -> list[Recording]:
    """Return the recordings under ``folder``, sorted by speaker, digit, index.

    Raises:
        UserError: there are none, or a WAV file's name is not digit_speaker_index.wav.
    """
    source = folder / "recordings" if (folder / "recordings").is_dir() else folder
    recordings = []
    for path in source.glob("[!.]*.wav"):  # no hidden files, as macOS leaves beside what it copies
        match = NAME.fullmatch(path.name)
        if not match:
            raise UserError(f"{path}: expected a name such as 7_theo_12.wav (digit, speaker, index)")
        recordings.append(Recording(path.resolve(), int(match["digit"]), match["speaker"], int(match["index"])))
    if not recordings:
        raise UserError(f"there are no recordings in {source}: give the data set's folder with --fsdd-dir")
    return sorted(recordings, key=lambda r: (r.speaker, r.digit, r.index))


def split(recordings: Sequence[Recording], held_out: str, seed: int) -> dict[str, list[Recording]]:
    """Return the recordings of each set; no recording is in two.

    Raises:
        UserError: there is no speaker ``held_out``, or a set has no recording.
    """
    speakers = sorted({recording.speaker for recording in recordings})
    if held_out not in speakers:
        raise UserError(f"--held-out-speaker {held_out}: the data has the speakers {', '.join(speakers)}")
    sets: dict[str, list[Recording]] = {"train": [], "valid": [], "test": [], "test_unseen_speaker": []}
    for speaker_number, speaker in enumerate(speakers):
        for digit in range(10):
            same = [r for r in recordings if r.speaker == speaker and r.digit == digit]
            if speaker == held_out:
                sets["test_unseen_speaker"] += same
                continue
            sets["test"] += [r for r in same if r.index in TEST_INDICES]
            rest = [r for r in same if r.index not in TEST_INDICES]
            rng = np.random.default_rng([seed, 1, speaker_number, digit])
            order = rng.permutation(len(rest))
            valid = max(1, round(VALID_SHARE * len(rest))) if len(rest) > 1 else 0
            sets["valid"] += [rest[i] for i in sorted(order[:valid])]
            sets["train"] += [rest[i] for i in sorted(order[valid:])]
    for name, members in sets.items():
        if not members:
            raise UserError(f"no recording is left for the set {name}: is the data set complete?")
    return sets


def draw_strings(recordings: Sequence[Recording], count: int, seed: tuple[int, ...], folder: Path) -> list[DigitString]:
    """Return ``count`` strings, the speakers in turn; recordings are used evenly, each often in different strings."""
    speakers = sorted({recording.speaker for recording in recordings})
    strings = []
    for number, speaker in enumerate(speakers):
        rng = np.random.default_rng([*seed, number])
        own = [recording for recording in recordings if recording.speaker == speaker]
        deck: list[Recording] = []
        for index in range(len(range(number, count, len(speakers)))):
            length = int(rng.integers(SHORTEST, LONGEST + 1))
            while len(deck) < length:
                deck += [own[i] for i in rng.permutation(len(own))]
            chosen, deck = tuple(deck[:length]), deck[length:]
            utt = f"{speaker}-{index:04d}"
            strings.append(DigitString(utt, folder / f"{utt}.flac", chosen, (*seed, number, index)))
    return strings


def render(string: DigitString) -> np.ndarray:
    """Return the string's samples at 16 kHz, (samples,) float32.

    Raises:
        UserError: a recording cannot be read.
    """
    rng = np.random.default_rng([*string.seed, 7])
    silent = rng.random() < SILENT_SHARE
    level = 0.0 if silent else 10 ** (rng.uniform(*NOISE_DBFS) / 20)

    def gap() -> np.ndarray:
        samples = int(rng.integers(GAP_MS[0], GAP_MS[1] + 1)) * RATE_IN // 1000
        return (level * rng.standard_normal(samples)).astype(np.float32)

    pieces = [gap()]
    for recording in string.recordings:
        try:
            pieces += [read_audio(recording.path, RATE_IN), gap()]
        except AudioFault as fault:
            raise UserError(f"the data set has a bad recording: {fault}") from None
    return np.clip(soxr.resample(np.concatenate(pieces), RATE_IN, RATE_OUT, quality="HQ"), -1.0, 1.0)


def write_block(strings: Sequence[DigitString]) -> list[tuple[Path, float]]:
    """Write each string as FLAC; return (file, seconds)."""
    durations = []
    for string in strings:
        samples = render(string)
        with atomic_path(string.out) as tmp:
            soundfile.write(tmp, samples, RATE_OUT, format="FLAC", subtype="PCM_16")
        durations.append((string.out, len(samples) / RATE_OUT))
    return durations


def clone(folder: Path) -> Path:
    """Return ``folder``, got from its public home unless it is there already; a failure is a UserError."""
    if not (folder / "recordings").is_dir():
        repair = "get the data set by other means and give its folder with --fsdd-dir"
        get_repository(HOME, folder, "the Free Spoken Digit Dataset", "30 MB", repair)
    return folder


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "--fsdd-dir", type=existing_dir, metavar="DIR", help="the data set (default: cloned into OUT/downloads)"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="work folder: writes DIR/data and DIR/downloads/audio"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="what everything is drawn from (default: 1)")
    parser.add_argument(
        "--held-out-speaker", default="theo", metavar="NAME", help="speaker left out of training (default: theo)"
    )
    parser.add_argument(
        "--train-strings", type=int, default=1100, metavar="N", help="utterances of the train set (default: 1100)"
    )
    parser.add_argument("--small", type=int, metavar="N", help="N utterances in every set, for tests")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes (default: 2)")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    counts = {"train": args.train_strings, "valid": 100, "test": 250, "test_unseen_speaker": 250}
    if args.small is not None:
        counts = dict.fromkeys(counts, args.small)
    if min(counts.values()) < 1:
        raise UserError("--train-strings and --small expect at least 1 utterance")
    if args.seed < 0:
        raise UserError(f"--seed {args.seed}: expected a number from 0 on")
    source = args.fsdd_dir or clone(args.out / "downloads" / "free-spoken-digit-dataset")
    sets = split(find_recordings(source), args.held_out_speaker, args.seed)
    strings = {}
    for set_number, (name, recordings) in enumerate(sets.items()):
        audio = args.out.resolve() / "downloads" / "audio" / name
        audio.mkdir(parents=True, exist_ok=True)
        strings[name] = draw_strings(recordings, counts[name], (args.seed, 2, set_number), audio)
    work = [block for members in strings.values() for block in blocks(members, 50)]
    written = parallel_blocks(write_block, work, args.jobs, "writing digit strings")
    seconds = dict(pair for block in written for pair in block)
    for name, members in strings.items():
        write_kaldi_dir(
            args.out / "data" / name,
            wav_scp={string.utt: string.out for string in members},
            utt2spk={string.utt: string.recordings[0].speaker for string in members},
            text={string.utt: " ".join(WORDS[r.digit] for r in string.recordings) for string in members},
            utt2dur={string.utt: seconds[string.out] for string in members},
        )
        hours = sum(seconds[string.out] for string in members) / 3600
        print(f"{name}: {len(members)} strings, {hours:.2f} h, from {len(sets[name])} recordings")


if __name__ == "__main__":
    run(main)
