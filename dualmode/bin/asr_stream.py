"""Print the growing transcript of audio while it is heard."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from dualmode.cli import make_parser, run
from dualmode.errors import UserError
from dualmode.lines import printable
from dualmode.models.options import add_device, add_model, add_subnet, chosen_model
from dualmode.search.config import SearchConfig
from dualmode.search.options import add_search, given_search

DESCRIPTION = """
Print the growing transcript of a file, of raw PCM on standard input, or of a microphone, chunk by chunk.

  dualmode stream exp/asr_base speech.wav
  arecord -q -t raw -f S16_LE -r 16000 | dualmode stream exp/asr_base - --rate 16000

On a terminal the transcript grows in its line; elsewhere every change is a line, "1.34 s ... zero one", and a finished
utterance is "0.00-2.56 s: zero one two". Utterances end with silence; interrupt the program to end a microphone.
"""


def get_parser() -> argparse.ArgumentParser:
    parser = make_parser(DESCRIPTION, "asr_stream")
    add_model(parser)
    parser.add_argument("audio", nargs="?", metavar="FILE", help="mono audio file, or - for 16-bit PCM")
    parser.add_argument("--microphone", action="store_true", help="listen to the default microphone instead")
    parser.add_argument("--rate", type=int, default=16000, metavar="HZ", help="sample rate of PCM and microphone")
    add_subnet(parser)
    parser.add_argument("--second-pass", action="store_true", help="the dense sub-network hears each utterance again")
    add_search(parser)
    add_device(parser)
    parser.add_argument("--silence-ms", type=float, default=1000, metavar="MS", help="silence that ends an utterance")
    parser.add_argument("--max-utterance-ms", type=float, default=30000, metavar="MS", help="longest utterance")
    parser.add_argument("--words", action="store_true", help="print when each word began and when it was stable")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    if (args.audio is None) != args.microphone:
        raise UserError("give either an audio file, - for standard input, or --microphone")
    if args.rate < 1:
        raise UserError(f"--rate {args.rate}: it must be a sample rate in Hz, such as 16000")
    search = SearchConfig(**given_search(args))
    from dualmode.decoding.live import file_pieces, microphone_pieces, pcm_pieces
    from dualmode.recognizer import Recognizer
    from dualmode_runtime.endpoint import Endpointing

    recognizer = Recognizer.from_pretrained(
        args.model,
        second_pass=args.second_pass,
        search=search,
        endpointing=Endpointing(silence_ms=args.silence_ms, max_utterance_ms=args.max_utterance_ms),
        **chosen_model(args),
    )
    if args.microphone:
        rate, pieces = args.rate, microphone_pieces(args.rate)
    elif args.audio == "-":
        rate, pieces = args.rate, pcm_pieces(sys.stdin.buffer, args.rate)
    else:
        rate, pieces = file_pieces(Path(args.audio))
    printer = Printer(sys.stdout, args.words)
    heard = utterances = 0
    try:
        for piece in pieces:
            heard += len(piece)
            for result in recognizer.accept_waveform(piece, rate):
                printer.finished(result)
                utterances += 1
            printer.partial(recognizer.partial().text, heard / rate)
    except KeyboardInterrupt:
        pass  # the way to end a microphone: what was heard is still to be said
    last = recognizer.result()
    if not last.silent or not utterances:
        printer.finished(last)


class Printer:
    """Prints transcripts, on a terminal into one growing line."""

    def __init__(self, out: TextIO, words: bool):
        self._out, self._words, self._in_place, self._shown = out, words, out.isatty(), ""

    def partial(self, text: str, seconds: float) -> None:
        """Show the words so far, if they changed."""
        if text == self._shown:
            return
        self._shown = text
        if self._in_place:
            self._draw(f"\r{printable(text[1 - shutil.get_terminal_size().columns :])}\x1b[K")
        else:
            self._print(f"{seconds:.2f} s ... {text}")

    def finished(self, result) -> None:
        """Print an utterance that has ended."""
        if self._in_place:
            self._draw("\r\x1b[K")
        self._shown = ""
        first, second = result.first_pass, result.second_pass
        times = f"{result.start_ms / 1000:.2f}-{result.end_ms / 1000:.2f} s"
        if second is None:
            self._print(f"{times}: {first.text}")
        else:
            self._print(f"{times}, first pass after {first.latency_ms:.0f} ms: {first.text}")
            self._print(f"{times}, second pass after {second.latency_ms:.0f} ms: {second.text}")
        for word in first.words if self._words else ():
            self._print(f"  {word.text}: begins at {word.start_ms:.0f} ms, stable at {word.stable_ms:.0f} ms")

    def _print(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    def _draw(self, sequence: str) -> None:
        print(sequence, end="", file=getattr(self._out, "terminal", self._out), flush=True)


if __name__ == "__main__":
    run(main)
