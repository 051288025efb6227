"""Speak sentences of the mini corpus with another voice of espeak-ng, as a corpus that somebody else made.

Writes OUT/audio/*.wav (22.05 kHz) and OUT/recordings.csv with the columns file, sentence and split.  Sentences have
capitals and full stops, as people write.  docs/how-to/fine-tune.md teaches a model of mini this voice.
"""

import argparse
import csv
import random
import wave
from collections.abc import Sequence
from pathlib import Path

from espeak import SAMPLE_RATE, Speech, speak
from grammar import sentences

from dualmode.cli import run
from dualmode.errors import UserError
from dualmode_runtime.files import atomic_path, atomic_write


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--voice", default="de+m3", help="voice of espeak-ng, and +variant (default: de+m3, a German's)"
    )
    parser.add_argument("--train", type=int, default=24, metavar="N", help="sentences to learn from (default: 24)")
    parser.add_argument("--valid", type=int, default=8, metavar="N", help="to choose the epoch by (default: 8)")
    parser.add_argument("--test", type=int, default=100, metavar="N", help="to be tested with (default: 100)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="what everything is drawn from (default: 1)")
    return parser


def as_written(text: str) -> str:
    """Return a sentence as people write it.

    >>> as_written("please turn on the light")
    'Please turn on the light.'
    """
    return f"{text[0].upper()}{text[1:]}."


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    sizes = {"train": args.train, "valid": args.valid, "test": args.test}
    if min(sizes.values()) < 1:
        raise UserError("--train, --valid and --test expect at least 1 sentence")
    rng = random.Random(f"{args.seed} {args.voice}")
    texts = sentences(sum(sizes.values()), f"{args.seed} {args.voice}", frozenset(), distinct=True)
    splits = [name for name, count in sizes.items() for _ in range(count)]
    spoken = speak([Speech(args.voice, rng.randint(130, 170), rng.randint(35, 65), 50, text) for text in texts])
    audio = args.out / "audio"
    audio.mkdir(parents=True, exist_ok=True)
    for number, pcm in enumerate(spoken):
        with atomic_path(audio / f"{number:04d}.wav") as tmp, wave.open(str(tmp), "wb") as out:
            out.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            out.writeframes(pcm)
    with atomic_write(args.out / "recordings.csv") as out:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(("file", "sentence", "split"))
        for number, (text, split) in enumerate(zip(texts, splits, strict=True)):
            table.writerow((f"audio/{number:04d}.wav", as_written(text), split))
    print(f"{args.out / 'recordings.csv'}: {len(texts)} synthetic utterances by {args.voice}")


if __name__ == "__main__":
    run(main)
