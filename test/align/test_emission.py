import pytest

from dualmode.align.emission import Delays, EmittedWord, delays, emitted_words, heard_ms, summary
from dualmode.align.words import TimedWord
from dualmode.supernet.subnet import Context


@pytest.mark.parametrize(
    "frame, context, heard",
    [
        (0, Context(4, 8), 197.5),  # 4 frames of 40 ms and 37.5 ms
        (3, Context(4, 8), 197.5),
        (4, Context(4, 8), 357.5),
        (4, Context(4, 8, lookahead=2), 437.5),
        (0, Context(1, 8), 77.5),
        (23, Context(4, 8), 990.0),  # the chunk ends at 997.5 ms, the utterance before it
    ],
)
def test_audio_heard_by_hand(frame, context, heard):
    assert heard_ms(frame, context, 990.0) == heard


@pytest.mark.parametrize("context", [Context(4, 8), Context(16, 32, lookahead=3)])
def test_a_frame_that_opens_a_chunk_waits_for_the_algorithmic_latency(context):
    opens = 5 * context.chunk
    assert heard_ms(opens, context, 1e9) - 40 * opens == context.latency_ms
    assert max(heard_ms(frame, context, 1e9) - 40 * frame for frame in range(100)) == context.latency_ms


def test_a_word_comes_out_with_its_last_token():
    # turn = frames 2, 3, 5 | <space> 6 | on = frames 7, 8; chunks of 4 frames end at 160, 320, 480 ms.
    words = emitted_words(["turn", "on"], [(0, 3), (4, 6)], [2, 3, 5, 6, 7, 8], Context(4, 8), 2000)
    assert words == [EmittedWord("turn", 197.5, 357.5), EmittedWord("on", 357.5, 517.5)]


SPOKEN = [TimedWord("turn", 0, 240), TimedWord("off", 280, 320), TimedWord("lights", 360, 700)]


def test_delays_of_recognised_words_and_of_both_ends():
    emitted = [EmittedWord("turn", 200, 360), EmittedWord("of", 360, 360), EmittedWord("lights", 520, 840)]
    assert delays(SPOKEN, emitted) == Delays(word=(120, 140), first_token=(200,), last_token=(140,))


def test_inserted_and_missing_words_shift_nothing():
    emitted = [EmittedWord("please", 200, 200), EmittedWord("turn", 200, 360), EmittedWord("lights", 520, 840)]
    assert delays(SPOKEN, emitted).word == (120, 140)


@pytest.mark.parametrize("spoken, emitted", [(SPOKEN, []), ([], [EmittedWord("turn", 1, 2)])])
def test_an_utterance_without_words_has_no_delay(spoken, emitted):
    assert delays(spoken, emitted) == Delays()


def test_statistics_by_hand():
    values = tuple(float(value) for value in range(0, 1100, 100))
    assert summary(values) == {"count": 11, "mean_ms": 500.0, "p50_ms": 500.0, "p90_ms": 900.0}
    total = Delays(word=values[:5]) + Delays(word=values[5:], first_token=(7.0,))
    assert total.as_json() == {
        "word": summary(values),
        "first_token": {"count": 1, "mean_ms": 7.0, "p50_ms": 7.0, "p90_ms": 7.0},
        "last_token": None,
    }
