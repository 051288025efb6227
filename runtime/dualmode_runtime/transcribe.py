"""The command ``dualmode-runtime``: write the text of audio files, with the model of a device file.

``dualmode transcribe``, which opens model folders too, is the same with more options.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dualmode_runtime import __version__
from dualmode_runtime.cli import Parser, existing_file
from dualmode_runtime.errors import UserError

if TYPE_CHECKING:  # NumPy and soundfile, which --help does without
    from dualmode_runtime.audio.fault import AudioFault
    from dualmode_runtime.recordings import Recognise, Recording

DESCRIPTION = """
Write the text of audio files, with the model of a device file (.dmdl), greedily, on one thread.

  dualmode-runtime model.dmdl speech.wav
  dualmode-runtime model.dmdl --format srt --out-dir subtitles talks/
  dualmode-runtime model.dmdl --format jsonl recordings.txt >transcripts.jsonl
"""
ABOUT_AUDIO = """
AUDIO is a file of any rate (WAV, FLAC, MP3, Ogg; with ffmpeg also m4a, webm, mp4), a folder of them, a Kaldi folder,
or a list: a .txt file with one path a line, or a .scp file.

Transcripts are written in the order of the files, each as soon as it is there; if several files are meant, text has
the file's name and a tab before it. A file that cannot be used is named at the end, and the status is 1. Times are in
ms, of CTM in seconds, from the file's beginning on.
"""
LONGEST_NAME = 255  # bytes, as file systems have it
FORMATS = ("text", "jsonl", "srt", "vtt", "ctm")


def add_audio(parser: argparse.ArgumentParser) -> None:
    """Add what is transcribed and how that is written; :func:`transcribe` reads it."""
    parser.add_argument("audio", nargs="+", metavar="AUDIO", help="files, folders, Kaldi folders or lists")
    parser.add_argument("--format", choices=FORMATS, default="text", help="of the output")
    parser.add_argument("--out-dir", type=Path, metavar="DIR", help="write a file for each recording there")
    add_channel(parser)
    parser.add_argument(
        "--max-utterance-ms",
        type=float,
        default=30000,
        metavar="MS",
        help="a longer recording is cut in its pauses, or where it is quietest",
    )


def add_channel(parser: argparse.ArgumentParser) -> None:
    """Add --channel, which :func:`read_channel` reads."""
    parser.add_argument(
        "--channel", default="mix", metavar="N", help="of audio with several: 1, 2, ..., or mix, their mean"
    )


def get_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="dualmode-runtime", description=(DESCRIPTION + ABOUT_AUDIO).strip())
    parser.add_argument("model", type=existing_file, metavar="MODEL", help="device file")
    add_audio(parser)
    parser.add_argument("--version", action="version", version=f"dualmode-runtime {__version__}", help="print it")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = get_parser().parse_intermixed_args(argv)

    def opened() -> "Recognise":
        from dualmode_runtime.recognizer import Recognizer

        return Recognizer.open(args.model).recognise

    return transcribe(args, opened)


def transcribe(
    args: argparse.Namespace, open_recogniser: Callable[[], "Recognise"], batch_size: int = 1, nbest: int = 1
) -> int:
    """Write the transcripts of what the options of :func:`add_audio` mean; return the status.

    Args:
        open_recogniser: called once there is something to recognise: what it loads is slow.
        batch_size: recordings, or pieces of them, that are recognised together.
        nbest: entries of the n-best lists.

    Raises:
        UserError: an option is wrong, or nothing is to be recognised.
    """
    from dualmode_runtime.audio.fault import AudioFault
    from dualmode_runtime.audio.pauses import SHORTEST_MS
    from dualmode_runtime.formats import ONE_RECORDING, WRITERS, ctm
    from dualmode_runtime.recordings import find_recordings, transcribe_all

    channel = read_channel(args.channel)
    if not args.max_utterance_ms >= SHORTEST_MS:
        raise UserError(f"--max-utterance-ms is {args.max_utterance_ms:g}: it must be at least {SHORTEST_MS}")
    recordings = find_recordings(args.audio)
    writer = partial(ctm, channel=channel) if args.format == "ctm" else WRITERS[args.format]
    named = len(recordings) > 1 or args.format != "text"
    if args.format in ONE_RECORDING and len(recordings) > 1 and not args.out_dir:
        raise UserError(f"{len(recordings)} recordings need a file of subtitles each: give --out-dir DIR")
    if not args.out_dir:
        check_ids(recordings, args.format)
    files = output_files(recordings, args.out_dir, args.format, args.audio) if args.out_dir else None
    faults = look_at(recordings, channel)
    good = [one for one in recordings if one not in faults]
    if good:
        recognise = open_recogniser()
        for recording, found in transcribe_all(good, recognise, channel, args.max_utterance_ms, batch_size, nbest):
            if isinstance(found, AudioFault):
                faults[recording] = found
                continue
            text = writer(id_in(recording, args.format) if named else None, found)
            if files is None:
                print(text, end="", flush=True)
            else:
                write(files[recording], text)
    return tell(faults, len(recordings))


def read_channel(word: str) -> int | None:
    """Return the channel that is meant, counted from 1, None for the mean of all; another word is a UserError."""
    if word == "mix":
        return None
    if word.isdecimal() and int(word) > 0:
        return int(word)
    raise UserError(f"--channel is {word!r}: it must be mix, or a number from 1 on")


def id_in(recording: "Recording", format: str) -> str:
    """Return what the output calls a recording; CTM is a table, in which ids have no white space."""
    return recording.label if format == "ctm" else recording.name


def check_ids(recordings: Sequence["Recording"], format: str) -> None:
    """Raise UserError where two recordings would have one id in the output."""
    owners: dict[str, Recording] = {}
    for one in recordings:
        name = id_in(one, format)
        if owners.setdefault(name, one) != one:
            raise UserError(
                f"{owners[name]} and {one} would both be {name} in the output: name them in one .scp file, "
                "one line each with an id and the path"
            )


def output_files(
    recordings: Sequence["Recording"], folder: Path, format: str, given: Sequence[str]
) -> "dict[Recording, Path]":
    """Return the file in ``folder`` that each recording's transcript goes to; other files that are replaced are told.

    Raises:
        UserError: it is the file of two, or a recording, or one of ``given``, what the command was asked to read.
    """
    from dualmode_runtime.files import check_writable
    from dualmode_runtime.formats import ENDINGS

    owners: dict[Path, Recording] = {}
    for recording in recordings:
        name = recording.label + ENDINGS[format]
        if Path(name).name != name:
            raise UserError(
                f"{recording.name} would be written outside of {folder}, to {name}: give it an id without /"
            )
        if len(os.fsencode(name)) > LONGEST_NAME:
            raise UserError(f"{name} is too long for the name of a file: name it shorter, in a .scp file")
        path = folder / name
        if owners.setdefault(path, recording) != recording:
            raise UserError(f"{owners[path]} and {recording} would both be written to {path}")
    read = {path.resolve() for path in (*map(Path, given), *(recording.path for recording in recordings))}
    if over := [path for path in owners if path.resolve() in read]:
        raise UserError(f"{over[0]} is read here, and a transcript would replace it: name another --out-dir")
    if there := sum(path.exists() for path in owners):
        print(f"replacing {there} of {len(owners)} transcripts in {folder}, which are there already", file=sys.stderr)
    check_writable(folder)
    return {recording: path for path, recording in owners.items()}


def look_at(recordings: Sequence["Recording"], channel: int | None) -> "dict[Recording, AudioFault]":
    """Open each recording, say what is done to those of other rates and several channels; return what is wrong."""
    from dualmode_runtime.audio.fault import AudioFault
    from dualmode_runtime.audio.media import check_media
    from dualmode_runtime.audio.resample import NARROW
    from dualmode_runtime.frames import SAMPLE_RATE

    faults: dict[Recording, AudioFault] = {}
    rates: Counter[int] = Counter()
    channels: Counter[int] = Counter()
    for recording in recordings:
        try:
            rate, count = check_media(recording.path, channel)
        except AudioFault as fault:
            faults[recording] = fault
            continue
        rates[rate] += 1
        channels[count] += 1
    for rate, count in sorted(rates.items()):
        if rate != SAMPLE_RATE:
            worse = f"; such audio {NARROW}" if rate < SAMPLE_RATE else ""
            print(f"recordings of {rate} Hz, resampled to {SAMPLE_RATE} Hz: {count}{worse}", file=sys.stderr)
    for number, count in sorted(channels.items()):
        if number > 1 and channel is None:
            print(f"recordings of {number} channels, mixed to one (--channel): {count}", file=sys.stderr)
    return faults


def write(path: Path, text: str) -> None:
    from dualmode_runtime.files import atomic_write

    with atomic_write(path) as out:
        out.write(text)


def tell(faults: "dict[Recording, AudioFault]", count: int) -> int:
    """Name the recordings without a transcript; return the status."""
    if faults:
        print(f"error: no transcript of {len(faults)} of {count} recordings:", file=sys.stderr)
        for recording, fault in faults.items():
            who = "" if recording.name == str(recording.path) else f"{recording.name}: "
            print(f"  {who}{fault.detail}", file=sys.stderr)
    return 1 if faults else 0
