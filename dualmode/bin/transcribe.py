"""Write the text of audio files: plain, as JSON lines, subtitles or CTM."""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from dualmode.cli import make_parser, run
from dualmode.errors import UserError
from dualmode.models.options import add_device, add_model, add_subnet, chosen_model, existing_model
from dualmode.search.config import SearchConfig
from dualmode.search.options import add_search, given_search

DESCRIPTION = """
Write the text of audio files, whole ones, with any sub-network.

  dualmode transcribe exp/asr_base speech.wav
  dualmode transcribe exp/asr_base --subnet dense --format srt --out-dir subtitles talks/
  dualmode transcribe model.dmdl --format jsonl recordings.txt >transcripts.jsonl

AUDIO is a file of any rate (WAV, FLAC, MP3, Ogg; with ffmpeg also m4a, webm, mp4), a folder of them, a Kaldi folder,
or a list: a .txt file with one path a line, or a .scp file. MODEL is a model folder, or a device file (.dmdl), which is
run without PyTorch, greedily.

Transcripts are written in the order of the files, each as soon as it is there; if several files are meant, text has
the file's name and a tab before it. A file that cannot be used is named at the end, and the status is 1. Times are in
ms, of CTM in seconds, from the file's beginning on. The confidence of a word is from 0 to 1.
"""
FORMATS = ("text", "jsonl", "srt", "vtt", "ctm")
MODEL = "model folder, of dualmode train, pack or subnet; or a device file, of dualmode pack-device"


def get_parser() -> argparse.ArgumentParser:
    parser = make_parser(DESCRIPTION, "transcribe")
    add_model(parser, MODEL, existing_model)
    parser.add_argument("audio", nargs="+", metavar="AUDIO", help="files, folders, Kaldi folders or lists")
    parser.add_argument("--format", choices=FORMATS, default="text", help="of the output")
    parser.add_argument("--out-dir", type=Path, metavar="DIR", help="write a file for each recording there")
    parser.add_argument(
        "--channel",
        default="mix",
        metavar="CHANNEL",
        help="of several: mix, their mean, or the number of one, from 1 on",
    )
    add_subnet(parser)
    add_search(parser)
    add_device(parser)
    parser.add_argument(
        "--max-utterance-ms",
        type=float,
        default=30000,
        metavar="MS",
        help="a longer recording is cut where it is quietest",
    )
    parser.add_argument("--batch-size", type=int, default=8, metavar="N", help="recordings, or pieces, side by side")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads; 0 is all cores")
    return parser


def read_channel(word: str) -> int | None:
    """Return the channel that is meant, counted from 1; None is the mean of all."""
    if word == "mix":
        return None
    if word.isdecimal() and int(word) > 0:
        return int(word)
    raise UserError(f"--channel is {word!r}: it must be mix, or a number from 1 on")


def main(argv: Sequence[str] | None = None) -> int:
    args = get_parser().parse_intermixed_args(argv)
    channel, search = read_channel(args.channel), SearchConfig(**given_search(args))
    for name, lowest in (("batch_size", 1), ("threads", 0), ("max_utterance_ms", 1000)):
        if not getattr(args, name) >= lowest:
            raise UserError(f"--{name.replace('_', '-')} is {getattr(args, name):g}: it must be at least {lowest}")
    from dualmode.decoding.formats import ONE_RECORDING, WRITERS

    on_device = args.model.is_file()
    if on_device:
        refuse_what_no_device_does(args)
    from dualmode.data.audio import AudioFault
    from dualmode.decoding.recordings import find_recordings, transcribe_all

    recordings = find_recordings(args.audio)
    named = len(recordings) > 1 or args.format not in ("text",)
    if args.format in ONE_RECORDING and len(recordings) > 1 and not args.out_dir:
        raise UserError(f"{len(recordings)} recordings need a file of subtitles each: give --out-dir DIR")
    files = output_files(recordings, args.out_dir, args.format) if args.out_dir else None
    faults = look_at(recordings, channel)
    good = [one for one in recordings if one not in faults]
    recognise = (device_recogniser(args) if on_device else torch_recogniser(args, search)) if good else None
    for recording, found in transcribe_all(
        good, recognise, channel, args.max_utterance_ms, args.batch_size, search.nbest
    ):
        if isinstance(found, AudioFault):
            faults[recording] = found
            continue
        name = recording.label if args.format == "ctm" else recording.name
        text = WRITERS[args.format](name if named else None, found)
        if files is None:
            print(text, end="", flush=True)
        else:
            write(files[recording], text)
    return tell(faults, len(recordings))


def refuse_what_no_device_does(args) -> None:
    """Raise UserError for options that the engine of a device file does not have."""
    words = ("beam_size", "nbest", "lm", "hotword", "hotwords", "subnet", "chunk_ms", "left_ms", "lookahead_ms")
    for word in (*words, "checkpoint"):
        if getattr(args, word) not in (None, 1):
            raise UserError(
                f"--{word.replace('_', '-')} is for model folders: {args.model} holds one sub-network, decoded greedily"
            )


def output_files(recordings, folder: Path, format: str) -> dict:
    """Return the file that each recording's transcript goes to; two for one file are a UserError."""
    from dualmode.decoding.formats import ENDINGS
    from dualmode.files import check_writable

    owners: dict[Path, str] = {}
    for recording in recordings:
        path = folder / (recording.label + ENDINGS[format])
        if owners.setdefault(path, recording.name) != recording.name:
            raise UserError(f"{owners[path]} and {recording.name} would both be written to {path}")
    check_writable(folder)
    return {recording: path for path, recording in zip(owners, dict.fromkeys(recordings), strict=True)}


def look_at(recordings, channel: int | None) -> dict:
    """Open each recording, say what is done to those of other rates and several channels; return what is wrong."""
    from dualmode.data.audio import AudioFault
    from dualmode.data.fbank import SAMPLE_RATE
    from dualmode.data.media import check_media
    from dualmode.decoding.recordings import Recording

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
            print(f"recordings of {rate} Hz, resampled to {SAMPLE_RATE} Hz: {count}", file=sys.stderr)
    for number, count in sorted(channels.items()):
        if number > 1 and channel is None:
            print(f"recordings of {number} channels, mixed to one (--channel): {count}", file=sys.stderr)
    return faults


def device_recogniser(args) -> Callable:
    """Return the engine that runs a device file; PyTorch, where it was not compiled, after saying so."""
    from dualmode.decoding.formats import NEED_TIMES
    from dualmode.export.runtimes import open_engine

    engine = open_engine(args.model)
    if args.format in NEED_TIMES and not engine.has_times:
        raise UserError(
            f"--format {args.format} needs the times of words, which only the compiled engine gives: python -m "
            "dualmode.device.build"
        )
    return engine.recognise


def torch_recogniser(args, search: SearchConfig) -> Callable:
    import torch

    from dualmode.recognizer import Recognizer

    if args.threads:
        torch.set_num_threads(args.threads)
    return Recognizer.from_pretrained(args.model, search=search, **chosen_model(args)).recognise


def write(path: Path, text: str) -> None:
    from dualmode.files import atomic_write

    with atomic_write(path) as out:
        out.write(text)


def tell(faults: dict, count: int) -> int:
    """Name the recordings without a transcript; return the status."""
    if faults:
        print(f"error: no transcript of {len(faults)} of {count} recordings:", file=sys.stderr)
        for recording, fault in faults.items():
            who = "" if recording.name == str(recording.path) else f"{recording.name}: "
            print(f"  {who}{fault.detail}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    run(main)
