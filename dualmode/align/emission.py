"""Emission delay: how long after a word was said a streaming sub-network puts it out.

A token that was found in frame t is put out when the last frame of its chunk, and of the look-ahead, has been computed,
for which audio must have been heard up to here::

    audio      |-- frame t --|- ... -| end of the chunk |- look-ahead -|- 37.5 ms -|   or the end of the utterance
    word        ......the word..|                                                  |
                                |<----------------- emission delay --------------->|

Time spent computing is not counted; it is the real-time factor's business.  First-token and last-token delay are those
of Shangguan et al. 2021, "Dissecting user-perceived latency of on-device E2E speech recognition" (arXiv 2104.02207).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dualmode.align.words import TimedWord
from dualmode.frames import FRAME_MS, LAST_FRAME_MS
from dualmode.results.score import align_words
from dualmode.supernet.subnet import Context


def heard_ms(frame: int, context: Context, duration_ms: float) -> float:
    """Return how much audio has been heard, in ms, when encoder frame ``frame`` of 40 ms is put out.

    >>> [heard_ms(frame, Context(16, 32), 2000) for frame in (0, 15, 16, 47)]
    [677.5, 677.5, 1317.5, 1957.5]
    >>> heard_ms(48, Context(16, 32), 2000)  # the last chunk is cut short by the utterance's end
    2000

    Args:
        frame: from 0 on.
        context: with a chunk.
        duration_ms: of the utterance.
    """
    chunks = frame // context.chunk + 1
    return min((chunks * context.chunk + context.lookahead) * FRAME_MS + LAST_FRAME_MS, duration_ms)


@dataclass(frozen=True)
class EmittedWord:
    """A word of a stream's transcript: its text, and the audio heard, in ms, when its first and last token came out."""

    text: str
    first_ms: float
    last_ms: float


def emitted_words(
    words: Sequence[str],
    spans: Sequence[tuple[int, int]],
    frames: Sequence[int],
    context: Context,
    duration_ms: float,
) -> list[EmittedWord]:
    """Return when each word came out.

    Args:
        words: of the stream's transcript.
        spans: of each word, see :func:`dualmode.search.words.word_spans`.
        frames: encoder frame of 40 ms in which each token was found, by greedy decoding.
        context, duration_ms: see :func:`heard_ms`.

    >>> emitted_words(["go", "on"], [(0, 2), (3, 5)], [3, 6, 7, 8, 20], Context(8, 16), 900)
    [EmittedWord(text='go', first_ms=357.5, last_ms=357.5), EmittedWord(text='on', first_ms=677.5, last_ms=900)]
    """
    heard = [heard_ms(frame, context, duration_ms) for frame in frames]
    return [EmittedWord(word, heard[first], heard[end - 1]) for word, (first, end) in zip(words, spans, strict=True)]


@dataclass(frozen=True)
class Delays:
    """Delays in ms; those of several utterances are added up.

    Attributes:
        word: from the end of each word that was recognised to its last token.
        first_token: from the beginning of each utterance's first word to its first token.
        last_token: from the end of each utterance's last word to its last token.
    """

    word: tuple[float, ...] = ()
    first_token: tuple[float, ...] = ()
    last_token: tuple[float, ...] = ()

    def __add__(self, other: "Delays") -> "Delays":
        return Delays(self.word + other.word, self.first_token + other.first_token, self.last_token + other.last_token)

    def as_json(self) -> dict[str, dict[str, float] | None]:
        """Return the :func:`summary` of each kind; None where there is no delay."""
        return {kind: summary(values) if values else None for kind, values in vars(self).items()}


def delays(spoken: Sequence[TimedWord], emitted: Sequence[EmittedWord]) -> Delays:
    """Return the delays of one utterance; none where nothing was said or nothing came out.

    Args:
        spoken: the words that were said, and when.
        emitted: those that came out; words that were not said have no delay.
    """
    if not spoken or not emitted:
        return Delays()
    said, out, words = iter(spoken), iter(emitted), []
    for pair in align_words([word.text for word in spoken], [word.text for word in emitted]):
        reference = None if pair.ref is None else next(said)
        hypothesis = None if pair.hyp is None else next(out)
        if pair.kind == "=":
            words.append(hypothesis.last_ms - reference.end_ms)
    first, last = emitted[0].first_ms - spoken[0].begin_ms, emitted[-1].last_ms - spoken[-1].end_ms
    return Delays(tuple(words), (first,), (last,))


def summary(delays: Sequence[float]) -> dict[str, float]:
    """Return count, mean and percentiles of delays in ms; between two values percentiles are interpolated.

    >>> summary([100, 200, 300, 400])
    {'count': 4, 'mean_ms': 250.0, 'p50_ms': 250.0, 'p90_ms': 370.0}
    """
    p50, p90 = np.percentile(delays, [50, 90])
    return {"count": len(delays), "mean_ms": float(np.mean(delays)), "p50_ms": float(p50), "p90_ms": float(p90)}
