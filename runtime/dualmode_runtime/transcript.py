"""What a recogniser returns; without torch, since a device file is run without it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from dualmode_runtime.endpoint import Endpoint
from dualmode_runtime.subnet import Subnet
from dualmode_runtime.words import Word

Reading = tuple[Any, tuple[Word, ...]]  # of the pieces so far: that of those before, or None, and the last one's words


@dataclass(frozen=True)
class Alternative:
    """An entry of an n-best list.

    Attributes:
        words: with times from the audio's beginning on.
        score: natural logarithm, with what language model and hotwords add; None of a device.
    """

    words: tuple[Word, ...]
    score: float | None

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


@dataclass(frozen=True)
class Transcript:
    """What one sub-network understood.

    Attributes:
        words: with times in ms from the audio's beginning on.
        subnet: which one.
        latency_ms: measured time from the arrival of the utterance's last audio until this transcript was there; 0 for
            partial ones and for files.  What it waits for audio is ``subnet.context.latency_ms`` more, at most.
        nbest: the n-best list, best first; empty for partial ones.
    """

    words: tuple[Word, ...]
    subnet: Subnet
    latency_ms: float = 0.0
    nbest: tuple[Alternative, ...] = ()

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        entries = [{"text": one.text, "score": rounded(one.score)} for one in self.nbest]
        words = [word.to_dict() for word in self.words]
        about = {"subnet": str(self.subnet), "latency_ms": round(self.latency_ms, 1)}
        return {"text": self.text, **about, "words": words, "nbest": entries}


@dataclass(frozen=True)
class Result:
    """A finished utterance.

    Attributes:
        start_ms, end_ms: where it is in the audio.
        first_pass: of the sub-network that the recogniser was opened with.
        second_pass: of the dense one over the whole utterance; None unless asked for.
        endpoint: why it ended; None where the audio did.
    """

    start_ms: float
    end_ms: float
    first_pass: Transcript
    second_pass: Transcript | None = None
    endpoint: Endpoint | None = None

    @property
    def best(self) -> Transcript:
        """The second pass where there is one, else the first."""
        return self.second_pass or self.first_pass

    @property
    def text(self) -> str:
        return self.best.text

    @property
    def words(self) -> tuple[Word, ...]:
        return self.best.words

    @property
    def nbest(self) -> tuple[Alternative, ...]:
        return self.best.nbest

    @property
    def silent(self) -> bool:
        """Whether no pass heard a word."""
        return not self.first_pass.words and not self.words

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it: the better transcript, and both where there are two."""
        ended = None if self.endpoint is None else self.endpoint.value
        found = {"start_ms": self.start_ms, "end_ms": self.end_ms, "endpoint": ended, **self.best.to_dict()}
        return found if self.second_pass is None else {**found, "first_pass": self.first_pass.to_dict()}


def joined(results: Sequence[Result], nbest: int = 1) -> Result:
    """Return the consecutive pieces of one recording as one; its n-best list is the best of all combinations."""
    if len(results) == 1:
        return results[0]
    first = joined_transcripts([result.first_pass for result in results], nbest)
    seconds = [result.second_pass for result in results if result.second_pass is not None]
    second = joined_transcripts(seconds, nbest) if seconds else None
    return Result(results[0].start_ms, results[-1].end_ms, first, second, results[-1].endpoint)


def _sum(first: float | None, second: float | None) -> float | None:
    """Return the score of two pieces in a row; a device tells none."""
    return None if first is None or second is None else first + second


def joined_transcripts(parts: Sequence[Transcript], nbest: int) -> Transcript:
    """Return the pieces of a recording as one; its n-best list has the best sums of theirs, at most ``nbest``."""
    # Of each reading only its last piece and what it follows: hours have a thousand pieces, and each has n readings.
    readings: list[tuple[float | None, Reading | None, bytes]] = [(0.0, None, b"")]
    for part in parts:
        pairs = (
            (_sum(score, one.score), (before, one.words), digest(text, one.words))
            for score, before, text in readings
            for one in part.nbest
        )
        best: dict[bytes, tuple] = {}  # of a text that two readings make, as where a word is on either side of the cut
        for pair in sorted(pairs, key=score_of, reverse=True):
            best.setdefault(pair[2], pair)
        readings = list(best.values())[:nbest]
    words = tuple(word for part in parts for word in part.words)
    return replace(parts[-1], words=words, nbest=tuple(Alternative(all_words(r), score) for score, r, _ in readings))


def score_of(reading: tuple) -> float:
    return reading[0] or 0.0


def digest(before: bytes, words: Iterable[Word]) -> bytes:
    """Return what tells a text from others, of what tells the text before it and its own words."""
    for word in words:
        before = blake2b(before + word.text.encode(), digest_size=16).digest()
    return before


def all_words(reading: Reading | None) -> tuple[Word, ...]:
    """Return the words of all pieces of a reading, in order."""
    pieces: list[tuple[Word, ...]] = []
    while reading:
        reading, words = reading
        pieces.append(words)
    return tuple(word for words in reversed(pieces) for word in words)
