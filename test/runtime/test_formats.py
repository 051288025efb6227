"""What the formats make of words that would be markup."""

from dualmode_runtime.formats import ctm, srt, text, vtt
from dualmode_runtime.transcript import Result, Transcript
from dualmode_runtime.words import Word


def test_signs_of_markup_are_words_in_webvtt():
    words = (Word("<unk>", 0.0, 400.0, 40.0), Word("r&b", 80.0, 400.0, 200.0), Word("it's", 240.0, 400.0, 300.0))
    result = Result(0.0, 400.0, Transcript(words, None))
    assert vtt(None, result) == "WEBVTT\n\n00:00:00.000 --> 00:00:00.400\n&lt;unk&gt; r&amp;b it's\n"
    assert srt(None, result) == "1\n00:00:00,000 --> 00:00:00,400\n<unk> r&b it's\n"


def test_a_name_with_an_end_of_line_in_it_is_one_line_and_one_column():
    result = Result(0.0, 400.0, Transcript((Word("go", 0.0, 400.0, 40.0),), None))
    assert text("new\nline\tü.wav", result) == '"new\\nline\\tü.wav"\tgo\n'
    assert text('a "b".wav', result) == 'a "b".wav\tgo\n'


def test_ctm_says_which_channel_was_heard():
    result = Result(0.0, 400.0, Transcript((Word("go", 0.0, 400.0, 40.0),), None))
    assert ctm("a", result, 2) == "a 2 0.00 0.04 go\n" and ctm("a", result) == "a 1 0.00 0.04 go\n"
