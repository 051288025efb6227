"""Aligned references and hypotheses, to be read by people (the layout is that of NIST's sclite)."""

import unicodedata
from collections.abc import Iterator, Sequence

from dualmode.results.score import Pair, Score, count, summary


def details(score: Score, cer: bool = True) -> Iterator[str]:
    """Yield the lines of a details file: every utterance in the reference's order, then the totals."""
    for utterance, pairs in score.alignments.items():
        yield from utterance_lines(utterance, pairs)
        yield ""
    wrong = sum(any(pair.kind != "=" for pair in pairs) for pairs in score.alignments.values())
    yield f"total: {len(score.alignments)} utterances, {wrong} with errors"
    yield summary("WER", score.words)
    if cer:
        yield summary("CER", score.chars)


def utterance_lines(utterance: str, pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield the five lines of one utterance; stars stand where a side has no word.

    >>> from dualmode.results.score import align_words
    >>> pairs = align_words("turn off the light please".split(), "turn on light please now".split())
    >>> for line in utterance_lines("utt1", pairs):
    ...     print(line)
    id:     utt1
    scores: 3 right, 1 S, 1 D, 1 I
    REF:    turn off the light please ***
    HYP:    turn on  *** light please now
    Eval:        S   D                I
    """
    counts = count(pairs)
    widths = [max(display_width(pair.ref or ""), display_width(pair.hyp or "")) for pair in pairs]
    rows = {
        "REF:": [word if word is not None else "*" * w for word, w in zip((p.ref for p in pairs), widths, strict=True)],
        "HYP:": [word if word is not None else "*" * w for word, w in zip((p.hyp for p in pairs), widths, strict=True)],
        "Eval:": [pair.kind.replace("=", "") for pair in pairs],
    }
    yield f"id:     {utterance}"
    yield f"scores: {counts.hits} right, {counts.sub} S, {counts.dele} D, {counts.ins} I"
    for label, cells in rows.items():
        padded = (cell + " " * (width - display_width(cell)) for cell, width in zip(cells, widths, strict=True))
        yield f"{label:<8}{' '.join(padded)}".rstrip()


def display_width(text: str) -> int:
    """Return the columns that ``text`` takes in a terminal: East Asian wide characters two, combining marks none."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
