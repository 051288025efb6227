from dualmode.align.words import TimedWord, timed_words


def test_times_are_those_of_the_first_and_the_last_token():
    frames = [(2, 3), (5, 7), (7, 8), (8, 9)]
    assert timed_words(["ab", "c"], [(0, 2), (3, 4)], frames) == [TimedWord("ab", 80, 280), TimedWord("c", 320, 360)]
