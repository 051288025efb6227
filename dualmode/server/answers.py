"""A transcript as OpenAI's clients expect it."""

import json
from typing import Any

from dualmode_runtime.formats import cues, srt, vtt
from dualmode_runtime.transcript import Result

FORMATS = {"json": "application/json", "text": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt"}
FORMATS["verbose_json"] = FORMATS["json"]
GRANULARITIES = ("word", "segment")


def answer(format: str, result: Result, granularities: set[str], language: str | None) -> str:
    """Return the body of a response.

    Args:
        format: one of FORMATS.
        result: of the whole recording.
        granularities: of "verbose_json": "word", "segment".
        language: as the client named it.
    """
    if format == "text":
        return f"{result.text}\n"
    if format == "srt":
        return srt(None, result)
    if format == "vtt":
        return vtt(None, result)
    values: dict[str, Any] = {"text": result.text}
    if format == "verbose_json":
        values = {"task": "transcribe", "language": language or "unknown", "duration": result.end_ms / 1000, **values}
        if "segment" in granularities:
            values["segments"] = segments(result)
        if "word" in granularities:
            values["words"] = words(result)
    return json.dumps(values, ensure_ascii=False, allow_nan=False)


def words(result: Result) -> list[dict[str, Any]]:
    """Return words with times in seconds, and their confidence where it is known."""
    found = []
    for word in result.words:
        one: dict[str, Any] = {"word": word.text, "start": word.start_ms / 1000, "end": word.end_ms / 1000}
        found.append(one if word.confidence is None else {**one, "confidence": round(word.confidence, 4)})
    return found


def segments(result: Result) -> list[dict[str, Any]]:
    """Return the parts of subtitles, with times in seconds."""
    return [
        {"id": number, "start": start / 1000, "end": min(end, result.end_ms) / 1000, "text": said.replace("\n", " ")}
        for number, (start, end, said) in enumerate(cues(result.words, result.end_ms))
    ]


def event(kind: str, **values: Any) -> str:
    """Return a server-sent event."""
    return f"data: {json.dumps({'type': kind, **values}, ensure_ascii=False)}\n\n"
