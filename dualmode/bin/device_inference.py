"""Stage 7: decode audio in a device runtime, on one thread: sherpa-onnx, or our own engine.

Writes Kaldi's text and device.json (what was run, its size, speed and memory). Audio is heard 100 ms at a time.
"""

import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dualmode.cli import existing_file, make_parser, run
from dualmode.commands import command_line
from dualmode.errors import UserError
from dualmode.models.options import add_model, existing_model


def get_parser():
    parser = make_parser(__doc__, "device_inference")
    what = "folder of dualmode export, for sherpa-onnx, or file of dualmode pack-device, for our engine"
    add_model(parser, what, existing_model, checkpoint=False)
    parser.add_argument("--precision", choices=("fp32", "int8"), default="fp32", help="which files of a folder to run")
    parser.add_argument("--wav-scp", type=existing_file, required=True, metavar="FILE", help="Kaldi's list of audio")
    parser.add_argument(
        "--reference",
        type=existing_file,
        metavar="TEXT",
        help="text of dualmode decode: decode its utterances only, and count transcripts that differ",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    return parser


def peak_memory() -> int:
    """Return the most memory that this process has had, in bytes (Linux counts in KiB, macOS in bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main(argv: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if argv is None else list(argv)
    args = get_parser().parse_args(arguments)
    from dualmode.data.folder import check_transcripts_folder
    from dualmode.data.recordings import usable_recordings
    from dualmode.export.runtimes import open_runtime
    from dualmode.frames import SAMPLE_RATE
    from dualmode.progress import progress
    from dualmode.results.device import COMPARED
    from dualmode.results.output import check_outputs
    from dualmode.results.text import read_text
    from dualmode_runtime.audio.fault import AudioFault
    from dualmode_runtime.audio.reading import read_audio
    from dualmode_runtime.files import atomic_write, sha256_of, write_json

    check_transcripts_folder(args.out, "decode.json")
    paths = usable_recordings(args.wav_scp)
    if not paths:
        raise UserError(f"{args.wav_scp} is empty: there is nothing to decode")
    read = [args.model, args.wav_scp, *filter(None, [args.reference]), *map(Path, paths.values())]
    check_outputs([("--out", args.out / name) for name in ("text", "device.json")], read)
    reference = read_text(args.reference) if args.reference else None
    compared = sha256_of(args.reference) if args.reference else None
    if reference == {}:
        raise UserError(f"{args.reference} is empty: give the text of dualmode decode, or no --reference")
    if missing := sorted(set(reference or ()) - set(paths)):
        raise UserError(f"{args.wav_scp} lacks {missing[0]}, which {args.reference} has: give the same set")
    before = peak_memory()
    runtime = open_runtime(args.model, args.precision)
    texts, seconds, samples = {}, 0.0, 0
    for utt in progress(sorted(reference or paths), f"decoding {args.wav_scp} in {runtime.about['runtime']}"):
        try:
            audio = read_audio(paths[utt], SAMPLE_RATE)
        except AudioFault as fault:
            raise UserError(f"{utt}: {fault}") from None
        start = time.perf_counter()
        texts[utt] = runtime.transcribe(audio)
        seconds += time.perf_counter() - start
        samples += len(audio)

    (args.out / "device.json").unlink(missing_ok=True)  # that of before would be taken for this text's
    with atomic_write(args.out / "text") as out:
        out.writelines(f"{utt} {text}".rstrip() + "\n" for utt, text in texts.items())
    differ = None
    if reference is not None:
        differ = sum(" ".join(reference[utt]) != text for utt, text in texts.items())
    audio_s = samples / SAMPLE_RATE
    write_json(
        args.out / "device.json",
        runtime.about
        | {
            "set": Path(os.path.abspath(args.wav_scp)).parent.name,  # of "wav.scp" as well
            "rtf": seconds / audio_s,
            "audio_s": audio_s,
            "decode_s": seconds,
            "peak_memory_bytes": peak_memory(),
            "memory_before_bytes": before,
            "utterances": len(texts),
            "transcripts_differ": differ,
            COMPARED: compared,
            "threads": 1,
            "command": command_line("device_inference", arguments),
        },
    )
    told = "" if differ is None else f", {differ} transcripts differ from {args.reference}"
    print(
        f"decoded {len(texts)} utterances of {audio_s:.0f} s in {seconds:.1f} s with {runtime.about['runtime']} "
        f"{runtime.about['precision']}{told}: {args.out / 'text'}"
    )


if __name__ == "__main__":
    run(main)
