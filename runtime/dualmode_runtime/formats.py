"""Transcripts as text, JSON lines, subtitles and CTM."""

import json
from collections.abc import Callable, Sequence
from html import escape
from itertools import zip_longest
from typing import Any

from dualmode_runtime.transcript import Result
from dualmode_runtime.words import Word

# A cue of two lines of 42 characters, as subtitles usually are; a pause ends it.
CUE_CHARACTERS = 84
CUE_MS = 7000
PAUSE_MS = 700
LINE_AND_COLUMN = "\n\r\t"
LINGER_MS = 500  # a cue stays after its last word, if nothing follows


def text(name: str | None, result: Result) -> str:
    """Return the transcript in a line, behind the recording's name and a tab if it has to be told from others.

    A name with an end of line or a tab in it, which would be two lines or columns, is written as JSON writes it.
    """
    if name is None:
        return f"{result.text}\n"
    return f"{json.dumps(name, ensure_ascii=False) if {*name} & {*LINE_AND_COLUMN} else name}\t{result.text}\n"


def jsonl(name: str | None, result: Result) -> str:
    return json_line({"file": name, **result.to_dict()})


def json_line(value: dict[str, Any]) -> str:
    """Return a value as one line of JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"


def ctm(name: str | None, result: Result, channel: int | None = None) -> str:
    """Return NIST's CTM: name, channel, begin and duration in seconds, word, and confidence where there is one.

    Args:
        name: of the recording.
        result: its words.
        channel: that was heard, counted from 1; the mean of all is channel 1.
    """
    lines = []
    for word in result.words:
        begin, duration = word.start_ms / 1000, (word.end_ms - word.start_ms) / 1000
        sure = "" if word.confidence is None else f" {word.confidence:.4f}"
        lines.append(f"{name} {channel or 1} {begin:.2f} {duration:.2f} {word.text}{sure}\n")
    return "".join(lines)


def srt(name: str | None, result: Result) -> str:
    return "\n".join(
        f"{number}\n{clock(start, ',')} --> {clock(end, ',')}\n{said}\n"
        for number, (start, end, said) in enumerate(cues(result.words, result.end_ms), start=1)
    )


def vtt(name: str | None, result: Result) -> str:
    """Return WebVTT, in which ``<unk>`` would be a tag, which players leave out."""
    lines = [
        f"\n{clock(start, '.')} --> {clock(end, '.')}\n{escape(said, quote=False)}\n"
        for start, end, said in cues(result.words, result.end_ms)
    ]
    return "".join(["WEBVTT\n", *lines])


def cues(words: Sequence[Word], audio_ms: float) -> list[tuple[float, float, str]]:
    """Return (begin, end, text) of each subtitle; times in ms, none after the audio's end.

    >>> cues([Word("go", 0, 900, 40), Word("on", 80, 900, 200), Word("then", 2000, 2500, 2040)], 2200)
    [(0, 700, 'go on'), (2000, 2200, 'then')]
    """
    groups: list[list[Word]] = []
    for word in words:
        if groups and _fits(groups[-1], word):
            groups[-1].append(word)
        else:
            groups.append([word])
    found = []
    for group, following in zip_longest(groups, groups[1:]):
        end = min(group[-1].end_ms + LINGER_MS, audio_ms if following is None else following[0].start_ms)
        found.append((group[0].start_ms, end, _two_lines([word.text for word in group])))
    return found


def _fits(group: Sequence[Word], word: Word) -> bool:
    characters = sum(len(one.text) + 1 for one in group) + len(word.text)
    soon = word.start_ms - group[-1].end_ms < PAUSE_MS
    return soon and characters <= CUE_CHARACTERS and word.end_ms - group[0].start_ms <= CUE_MS


def _two_lines(words: Sequence[str]) -> str:
    """Return the words in a line, or in two of about the same length."""
    whole = " ".join(words)
    if len(whole) <= CUE_CHARACTERS // 2:
        return whole
    lines = [(" ".join(words[:count]), " ".join(words[count:])) for count in range(1, len(words))]
    return "\n".join(min(lines, key=lambda pair: max(map(len, pair)), default=(whole,)))


def clock(ms: float, point: str) -> str:
    """Return ms as subtitles write them.

    >>> clock(3_723_004.4, ",")
    '01:02:03,004'
    """
    seconds, rest = divmod(round(ms), 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{point}{rest:03d}"


WRITERS: dict[str, Callable[[str | None, Result], str]] = {
    "text": text,
    "jsonl": jsonl,
    "srt": srt,
    "vtt": vtt,
    "ctm": ctm,
}
ONE_RECORDING = ("srt", "vtt")  # a file is of one recording
ENDINGS = {"text": ".txt", "jsonl": ".jsonl", "srt": ".srt", "vtt": ".vtt", "ctm": ".ctm"}
