"""The aligned form of an utterance, and the totals."""

from dualmode.results.details import details, display_width, utterance_lines
from dualmode.results.score import align_words, score_texts


def test_every_error_stands_under_its_words():
    pairs = align_words("turn off the light please".split(), "turn on light please now".split())
    assert list(utterance_lines("utt1", pairs)) == [
        "id:     utt1",
        "scores: 3 right, 1 S, 1 D, 1 I",
        "REF:    turn off the light please ***",
        "HYP:    turn on  *** light please now",
        "Eval:        S   D                I",
    ]


def test_wide_characters_and_accents_keep_the_columns():
    assert [display_width(text) for text in ("light", "東京", "e\u0301")] == [5, 4, 1]
    lines = list(utterance_lines("u", align_words(["東京", "e\u0301a", "x"], ["東", "e\u0301a", "y"])))
    assert lines[2:] == ["REF:    東京 e\u0301a x", "HYP:    東   e\u0301a y", "Eval:   S       S"]


def test_an_utterance_without_words():
    assert list(utterance_lines("u", ()))[2:] == ["REF:", "HYP:", "Eval:"]


def test_totals_come_last():
    lines = list(details(score_texts({"u1": ("a", "b"), "u2": ("c",)}, {"u1": ("a",), "u2": ("c",)})))
    assert lines[-3:] == [
        "total: 2 utterances, 1 with errors",
        "%WER 33.33 [ 1 / 3, 0 ins, 1 del, 0 sub ]",
        "%CER 50.00 [ 2 / 4, 0 ins, 2 del, 0 sub ]",
    ]
    assert [line for line in lines if line.startswith("id:")] == ["id:     u1", "id:     u2"]
