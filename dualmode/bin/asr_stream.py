"""Print the growing transcript of a file, of raw PCM on standard input, or of a microphone, chunk by chunk.

  dualmode stream exp/asr_base speech.wav
  arecord -q -t raw -f S16_LE -r 16000 | dualmode stream model.dmdl - --rate 16000 --format jsonl

MODEL is a model folder, or a device file (.dmdl), which is run without PyTorch, greedily. FILE is one recording of any
format that dualmode transcribe reads; folders and lists are for dualmode transcribe. Utterances end with silence;
interrupt the program to end a microphone.

Text: on a terminal the transcript grows in its line; elsewhere every change is a line, "1.34 s ... zero one", and a
finished utterance is "0.00-2.56 s: zero one two". JSON lines: every change is an object of type "partial" with the text
so far, which may still change, and a finished utterance one of type "final" with its words; times are in ms.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dualmode.cli import make_parser, run
from dualmode.errors import UserError
from dualmode.models.options import (
    MODEL_OR_DEVICE_FILE,
    add_device,
    add_model,
    add_subnet,
    chosen_model,
    existing_model,
    refuse_for_device_file,
)
from dualmode.search.config import SearchConfig
from dualmode.search.options import add_search, given_search
from dualmode_runtime.frames import SAMPLE_RATE
from dualmode_runtime.transcribe import add_channel, read_channel

SHORTEST_MS = 500  # of --max-utterance-ms: a word has to fit in


def get_parser() -> argparse.ArgumentParser:
    parser = make_parser(__doc__, "asr_stream")
    add_model(parser, MODEL_OR_DEVICE_FILE, existing_model)
    parser.add_argument(
        "audio", nargs="?", metavar="FILE", help="audio file, or - for 16-bit mono PCM without a header"
    )
    parser.add_argument("--microphone", action="store_true", help="listen to the default microphone instead")
    parser.add_argument("--rate", type=int, metavar="HZ", help="sample rate of PCM and microphone (default: 16000)")
    add_channel(parser)
    parser.add_argument("--format", choices=("text", "jsonl"), default="text", help="of the output")
    add_subnet(parser)
    parser.add_argument("--second-pass", action="store_true", help="the dense sub-network hears each utterance again")
    add_search(parser)
    add_device(parser)
    parser.add_argument("--silence-ms", type=float, default=1000, metavar="MS", help="silence that ends an utterance")
    parser.add_argument("--max-utterance-ms", type=float, default=30000, metavar="MS", help="longest utterance")
    parser.add_argument(
        "--words", action="store_true", help="of text: print when each word began and when it was stable"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    if (args.audio is None) != args.microphone:
        raise UserError("give either an audio file, - for standard input, or --microphone")
    from_file = args.audio not in (None, "-")
    if args.rate is not None and from_file:
        raise UserError(f"--rate is of samples without a header, and of a microphone: {args.audio} says its own")
    from dualmode_runtime.audio.reading import RATES

    hertz = SAMPLE_RATE if args.rate is None else args.rate
    if not RATES[0] <= hertz <= RATES[1]:
        raise UserError(f"--rate {hertz}: it must be from {RATES[0]} to {RATES[1]} Hz, such as {SAMPLE_RATE}")
    if not args.max_utterance_ms >= SHORTEST_MS:
        raise UserError(f"--max-utterance-ms is {args.max_utterance_ms:g}: it must be at least {SHORTEST_MS}")
    if args.words and args.format != "text":
        raise UserError(f"--words goes with --format text: {args.format} has the times of words")
    if args.model.is_file():
        refuse_for_device_file(args, "second_pass")
    channel, search = read_channel(args.channel), SearchConfig(**given_search(args))
    if (channel or 1) > 1 and not from_file:
        raise UserError(f"--channel {channel}: standard input and a microphone have one channel")
    from dualmode.decoding.growing import JsonLines, Printer
    from dualmode.decoding.live import file_pieces, microphone_pieces, pcm_pieces
    from dualmode_runtime.endpoint import Endpointing

    endpointing = Endpointing(silence_ms=args.silence_ms, max_utterance_ms=args.max_utterance_ms)
    if args.microphone:
        rate, pieces = hertz, microphone_pieces(hertz)
    elif args.audio == "-":
        if sys.stdin is None:
            raise UserError("standard input is closed: give it audio, or name a file")
        rate, pieces = hertz, pcm_pieces(sys.stdin.buffer, hertz)
    elif Path(args.audio).is_dir():
        raise UserError(f"{args.audio} is a folder, and stream takes one file: dualmode transcribe reads folders")
    else:
        rate, pieces = file_pieces(Path(args.audio), channel)
    recognizer = open_stream(args, search, endpointing)
    shown = JsonLines(sys.stdout) if args.format == "jsonl" else Printer(sys.stdout, args.words)
    heard = utterances = 0
    try:
        for piece in pieces:
            heard += len(piece)
            for result in recognizer.accept_waveform(piece, rate):
                shown.finished(result)
                utterances += 1
            shown.partial(recognizer.partial().text, 1000 * heard / rate)
    except KeyboardInterrupt:
        pass  # the way to end a microphone: what was heard is still to be said
    last = recognizer.result()
    if not last.silent or not utterances:
        shown.finished(last)


def open_stream(args, search: SearchConfig, endpointing):
    """Return what hears audio piece by piece: of a device file a stream of the engine, which needs no PyTorch."""
    if args.model.is_file():
        from dualmode_runtime.recognizer import Recognizer as DeviceRecognizer

        return DeviceRecognizer.open(args.model).stream(endpointing)
    from dualmode.recognizer import Recognizer

    return Recognizer.from_pretrained(
        args.model, second_pass=args.second_pass, search=search, endpointing=endpointing, **chosen_model(args)
    )


if __name__ == "__main__":
    run(main)
