"""Times of words, from those of their tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

from dualmode.frames import FRAME_MS


@dataclass(frozen=True)
class TimedWord:
    """A word, and where in the audio it begins and ends, in ms."""

    text: str
    begin_ms: float
    end_ms: float


def timed_words(
    words: Sequence[str], spans: Sequence[tuple[int, int]], frames: Sequence[tuple[int, int]]
) -> list[TimedWord]:
    """Return the words from the beginning of their first token to the end of their last one.

    Args:
        words: as written.
        spans: of each word, see :func:`dualmode.search.words.word_spans`.
        frames: (first, last + 1) encoder frames of 40 ms of each token.

    >>> timed_words(["go", "on"], [(0, 2), (3, 5)], [(1, 2), (3, 4), (4, 5), (6, 7), (9, 11)])
    [TimedWord(text='go', begin_ms=40, end_ms=160), TimedWord(text='on', begin_ms=240, end_ms=440)]
    """
    return [
        TimedWord(word, FRAME_MS * frames[first][0], FRAME_MS * frames[end - 1][1])
        for word, (first, end) in zip(words, spans, strict=True)
    ]
