"""The pieces of a recording, put together."""

import tracemalloc
from itertools import product

import pytest

from dualmode_runtime.transcript import Alternative, Transcript, joined_transcripts
from dualmode_runtime.words import Word


def piece(number: int, readings: int, words: int) -> Transcript:
    """Return a piece with so many readings of so many words; scores differ from piece to piece."""
    said = [tuple(Word(f"{number}-{rank}-{place}") for place in range(words)) for rank in range(readings)]
    scores = [-float(rank * (1 + number % 3) + number) for rank in range(readings)]
    nbest = tuple(Alternative(one, score) for one, score in zip(said, scores, strict=True))
    return Transcript(said[0], None, nbest=nbest)


@pytest.mark.parametrize("count", [1, 3, 50])
def test_the_list_of_all_pieces_has_the_best_sums(count):
    parts = [piece(number, 3, 2) for number in range(3)]
    every = [
        (sum(one.score for one in chosen), tuple(word for one in chosen for word in one.words))
        for chosen in product(*(part.nbest for part in parts))
    ]
    found = joined_transcripts(parts, count)
    assert [one.score for one in found.nbest] == sorted((score for score, _ in every), reverse=True)[:count]
    assert all((one.score, one.words) in every for one in found.nbest)
    assert len({one.words for one in found.nbest}) == min(count, 27)
    assert found.words == found.nbest[0].words == tuple(word for part in parts for word in part.words)


def test_a_text_that_two_readings_make_is_in_the_list_once():
    def part(*readings: tuple[str, float]) -> Transcript:
        nbest = tuple(Alternative(tuple(map(Word, text.split())), score) for text, score in readings)
        return Transcript(nbest[0].words, None, nbest=nbest)

    parts = [part(("turn on", -1.0), ("turn", -1.5)), part(("light", -1.0), ("on light", -1.2), ("", -9.0))]
    found = joined_transcripts(parts, 4)
    assert [(one.text, round(one.score, 6)) for one in found.nbest] == [
        ("turn on light", -2.0),  # and not, at -2.7, as "turn" and "on light"
        ("turn on on light", -2.2),
        ("turn light", -2.5),
        ("turn on", -10.0),
    ]


def test_a_device_tells_no_score():
    parts = [Transcript((word,), None, nbest=(Alternative((word,), None),)) for word in (Word("go"), Word("on"))]
    assert joined_transcripts(parts, 1).nbest == (Alternative((Word("go"), Word("on")), None),)


def test_long_recordings_with_many_readings_need_little_memory():
    parts = [piece(number, 20, 75) for number in range(200)]
    tracemalloc.start()
    found = joined_transcripts(parts, 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.nbest) == 20 and len(found.nbest[-1].words) == 200 * 75
    assert peak < 20e6  # the 20 readings alone are 2.4 MB
