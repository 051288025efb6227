"""A transcript that grows, as it is shown: lines for people, on a terminal one that is drawn anew, or JSON lines."""

import shutil
from typing import Any, TextIO

from dualmode_runtime.formats import json_line
from dualmode_runtime.lines import printable
from dualmode_runtime.transcript import Result


class Printer:
    """Prints transcripts, on a terminal into one growing line."""

    def __init__(self, out: TextIO, words: bool):
        self._out, self._words, self._in_place, self._shown = out, words, out.isatty(), ""

    def partial(self, text: str, heard_ms: float) -> None:
        """Show the words so far, if they changed."""
        if text == self._shown:
            return
        self._shown = text
        if self._in_place:
            self._draw(f"\r{printable(text[1 - shutil.get_terminal_size().columns :])}\x1b[K")
        else:
            self._print(f"{heard_ms / 1000:.2f} s ... {text}")

    def finished(self, result: Result) -> None:
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


class JsonLines:
    """Writes a JSON object a line, for programs, as dualmode serve's messages, but with a second pass in the
    same line, whose ``first_pass`` is what was streamed::

    {"type": "partial", "utterance": 0, "text": "what is", "heard_ms": 1280.0}
    {"type": "final", "utterance": 0, "start_ms": 0.0, "end_ms": 2560.0, "text": "what is the", "words": [...], ...}
    """

    def __init__(self, out: TextIO):
        self._out, self._utterance, self._shown = out, 0, ""

    def partial(self, text: str, heard_ms: float) -> None:
        """Write the words so far, if they changed."""
        if text != self._shown:
            self._shown = text
            self._write("partial", {"text": text, "heard_ms": round(heard_ms, 1)})

    def finished(self, result: Result) -> None:
        """Write an utterance that has ended, as :meth:`Result.to_dict` has it."""
        self._write("final", result.to_dict())
        self._utterance, self._shown = self._utterance + 1, ""

    def _write(self, kind: str, values: dict[str, Any]) -> None:
        self._out.write(json_line({"type": kind, "utterance": self._utterance, **values}))
        self._out.flush()
