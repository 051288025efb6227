"""Word and character error rates by plain edit distance: a substitution, a deletion and an insertion cost 1 each.

The alignment is rapidfuzz's (the library under jiwer).  The number of errors has one value; how it splits into
substitutions, deletions and insertions may differ between scorers where two alignments are equally short::

    REF:  a b        REF:  a b *
    HYP:  b c        HYP:  * b c      2 errors each
          S S              D   I
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from rapidfuzz.distance import Levenshtein

from dualmode.errors import UserError
from dualmode.results.text import Transcripts, read_text

NAMED = 5  # utterances that an error message names before it only counts


@dataclass(frozen=True)
class Counts:
    """How many reference units (words or characters) were found, and the three kinds of error."""

    hits: int = 0
    sub: int = 0
    dele: int = 0
    ins: int = 0

    @property
    def reference(self) -> int:
        """Units in the reference."""
        return self.hits + self.sub + self.dele

    @property
    def errors(self) -> int:
        """The edit distance."""
        return self.sub + self.dele + self.ins

    @property
    def percent(self) -> float:
        """The error rate in percent of the reference; above 100 where there are many insertions."""
        return 100 * self.errors / self.reference

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.hits + other.hits, self.sub + other.sub, self.dele + other.dele, self.ins + other.ins)


@dataclass(frozen=True)
class Pair:
    """One aligned step; ``kind`` is "=" (right), "S", "D" (``hyp`` is None) or "I" (``ref`` is None)."""

    kind: str
    ref: str | None
    hyp: str | None


@dataclass(frozen=True)
class Score:
    """The result for a set: word counts, character counts, and the aligned words of every utterance."""

    words: Counts
    chars: Counts
    alignments: dict[str, tuple[Pair, ...]]

    def as_json(self, cer: bool = True) -> dict[str, int | float]:
        """Return the fields of ``score.json``; rates are in percent and not rounded."""
        fields: dict[str, int | float] = {
            "wer": self.words.percent,
            "errors": self.words.errors,
            "sub": self.words.sub,
            "del": self.words.dele,
            "ins": self.words.ins,
            "words": self.words.reference,
            "utterances": len(self.alignments),
        }
        if cer:
            fields |= {
                "cer": self.chars.percent,
                "char_errors": self.chars.errors,
                "char_sub": self.chars.sub,
                "char_del": self.chars.dele,
                "char_ins": self.chars.ins,
                "chars": self.chars.reference,
            }
        return fields


def align_words(ref: Sequence[str], hyp: Sequence[str]) -> tuple[Pair, ...]:
    """Return a shortest alignment of two sequences of words (or of characters).

    >>> [pair.kind for pair in align_words("turn the light on".split(), "turn light off".split())]
    ['=', 'D', '=', 'S']
    """
    # rapidfuzz compares hashes; small integers are their own hash, so two words can never be taken for one.
    number: dict[str, int] = {}
    coded = [[number.setdefault(unit, len(number)) for unit in units] for units in (ref, hyp)]
    pairs: list[Pair] = []
    for tag, *places in Levenshtein.opcodes(*coded):
        ref_from, ref_to, hyp_from, hyp_to = map(int, places)
        if tag == "delete":
            pairs += [Pair("D", unit, None) for unit in ref[ref_from:ref_to]]
        elif tag == "insert":
            pairs += [Pair("I", None, unit) for unit in hyp[hyp_from:hyp_to]]
        else:
            kind = "=" if tag == "equal" else "S"
            both = zip(ref[ref_from:ref_to], hyp[hyp_from:hyp_to], strict=True)
            pairs += [Pair(kind, ref_unit, hyp_unit) for ref_unit, hyp_unit in both]
    return tuple(pairs)


def count(pairs: Sequence[Pair]) -> Counts:
    """Return how often each kind occurs in an alignment."""
    kinds = [pair.kind for pair in pairs]
    return Counts(kinds.count("="), kinds.count("S"), kinds.count("D"), kinds.count("I"))


def characters(words: Sequence[str]) -> str:
    """Return the characters that CER is over: Unicode code points, with one space between two words.

    The space counts, as it does in ESPnet (its ``<space>`` token), jiwer and torchmetrics: "to day" for "today" is
    one error of five.  Where a language writes no spaces and each character is a word, split or join both sides alike.
    """
    return " ".join(words)


def score_texts(ref: Transcripts, hyp: Transcripts) -> Score:
    """Score hypotheses against references with the same utterances.

    Words are compared as they are: no case folding, no removal of punctuation, no Unicode normalisation.

    Raises:
        UserError: an utterance is on one side only, or the reference has no words at all.
    """
    _check_same_utterances(ref, hyp)
    if not any(ref.values()):
        raise UserError("the reference has no words, so there is no error rate; check that its lines are 'id words'")
    alignments = {utterance: align_words(words, hyp[utterance]) for utterance, words in ref.items()}
    words = sum(map(count, alignments.values()), Counts())
    chars = sum((count(align_words(characters(ref[u]), characters(hyp[u]))) for u in ref), Counts())
    return Score(words, chars, alignments)


def utterance_errors(ref: Transcripts, hyp: Transcripts) -> dict[str, tuple[int, int]]:
    """Return the word errors and the reference words of each utterance: what :func:`score_texts` adds up, and faster.

    >>> utterance_errors({"u": ("turn", "the", "light", "on")}, {"u": ("turn", "light", "off")})
    {'u': (2, 4)}

    Raises:
        UserError: an utterance is on one side only.
    """
    _check_same_utterances(ref, hyp)
    number: dict[str, int] = {}  # as in align_words: two words must not be taken for one

    def coded(words: Sequence[str]) -> list[int]:
        return [number.setdefault(word, len(number)) for word in words]

    return {u: (Levenshtein.distance(coded(words), coded(hyp[u])), len(words)) for u, words in ref.items()}


def score_files(ref: str | os.PathLike, hyp: str | os.PathLike) -> Score:
    """Score one Kaldi ``text`` file against another; see :func:`score_texts`.  Errors name the two files."""
    references, hypotheses = read_text(ref), read_text(hyp)
    try:
        return score_texts(references, hypotheses)
    except UserError as error:
        raise UserError(f"{hyp} cannot be scored against {ref}: {error}") from error


def summary(name: str, counts: Counts) -> str:
    """Return Kaldi's line for an error rate.

    >>> summary("WER", Counts(hits=7, sub=2, dele=1, ins=1))
    '%WER 40.00 [ 4 / 10, 1 ins, 1 del, 2 sub ]'
    """
    errors = f"{counts.errors} / {counts.reference}, {counts.ins} ins, {counts.dele} del, {counts.sub} sub"
    return f"%{name} {counts.percent:.2f} [ {errors} ]"


def _check_same_utterances(ref: Transcripts, hyp: Transcripts) -> None:
    faults = []
    missing = [utterance for utterance in ref if utterance not in hyp]
    extra = [utterance for utterance in hyp if utterance not in ref]
    if missing:
        faults.append(f"{_named(missing)} of the reference {_is(missing)} not in the hypotheses")
    if extra:
        faults.append(f"{_named(extra)} of the hypotheses {_is(extra)} not in the reference")
    if faults:
        raise UserError("; ".join(faults) + "; decode exactly the utterances of the reference")


def _named(utterances: list[str]) -> str:
    names = ", ".join(islice(utterances, NAMED)) + (", ..." if len(utterances) > NAMED else "")
    return f"{len(utterances)} utterance{'s' if len(utterances) > 1 else ''} ({names})"


def _is(utterances: list[str]) -> str:
    return "are" if len(utterances) > 1 else "is"
