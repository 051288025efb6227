"""Error rates against values worked out by hand and against the textbook recurrence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualmode.errors import UserError
from dualmode.results.score import Counts, align_words, characters, count, score_files, score_texts, summary

WORDS = st.lists(st.sampled_from(["a", "b", "c", "aa", "on", "naïve", "光"]), max_size=9).map(tuple)


def levenshtein(ref, hyp):
    """The recurrence itself, one row at a time."""
    row = list(range(len(hyp) + 1))
    for i, ref_unit in enumerate(ref, start=1):
        above_left, row[0] = row[0], i
        for j, hyp_unit in enumerate(hyp, start=1):
            above_left, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above_left + (ref_unit != hyp_unit))
    return row[-1]


@pytest.mark.parametrize(
    "ref, hyp, kinds",
    [
        ("turn on the light", "turn on the light", "===="),
        ("turn on the light", "turn off the light", "=S=="),
        ("turn on the light", "turn on light", "==D="),
        ("turn on the light", "turn on the big light", "===I="),
        ("turn off the light please", "turn on light please now", "=SD==I"),
        ("turn on the light", "", "DDDD"),
        ("", "uh huh", "II"),
        ("", "", ""),
    ],
)
def test_alignment_worked_out_by_hand(ref, hyp, kinds):
    pairs = align_words(ref.split(), hyp.split())
    assert "".join(pair.kind for pair in pairs) == kinds


@given(WORDS, WORDS)
def test_errors_are_the_edit_distance(ref, hyp):
    assert count(align_words(ref, hyp)).errors == levenshtein(ref, hyp)


@given(WORDS, WORDS)
def test_an_alignment_holds_both_sides_whole_and_in_order(ref, hyp):
    pairs = align_words(ref, hyp)
    assert tuple(pair.ref for pair in pairs if pair.kind != "I") == ref
    assert tuple(pair.hyp for pair in pairs if pair.kind != "D") == hyp
    assert all((pair.ref == pair.hyp) == (pair.kind == "=") for pair in pairs)
    counts = count(pairs)
    assert counts.hits + counts.sub + counts.dele == len(ref)
    assert counts.hits + counts.sub + counts.ins == len(hyp)


@given(st.dictionaries(st.sampled_from("uvwxyz"), st.tuples(WORDS, WORDS), min_size=1))
def test_a_set_is_the_sum_of_its_utterances(texts):
    ref = {utterance: sides[0] for utterance, sides in texts.items()} | {"last": ("a",)}
    hyp = {utterance: sides[1] for utterance, sides in texts.items()} | {"last": ("a",)}
    score = score_texts(ref, hyp)
    assert score.words.errors == sum(levenshtein(ref[u], hyp[u]) for u in ref)
    assert score.chars.errors == sum(levenshtein(" ".join(ref[u]), " ".join(hyp[u])) for u in ref)
    assert score.words.reference == sum(map(len, ref.values()))


def test_json_of_a_hand_worked_set():
    ref = {"u1": ("turn", "off", "the", "light", "please"), "u2": ("hello",), "u3": ()}
    hyp = {"u3": ("uh",), "u2": ("hallo",), "u1": ("turn", "on", "light", "please", "now")}
    # u1: off/on S, "the" D, "now" I;  u2: S;  u3: I.
    # Characters of u1 (25): off -> on is f/n S and f D, "the " is 4 D, " now" is 4 I;  u2 (5): e/a S;  u3 (0): 2 I.
    assert score_texts(ref, hyp).as_json() == {
        "wer": pytest.approx(100 * 5 / 6),
        "errors": 5,
        "sub": 2,
        "del": 1,
        "ins": 2,
        "words": 6,
        "utterances": 3,
        "cer": pytest.approx(100 * 13 / 30),
        "char_errors": 13,
        "char_sub": 2,
        "char_del": 5,
        "char_ins": 6,
        "chars": 30,
    }


def test_without_cer_the_json_has_no_character_counts():
    fields = score_texts({"u": ("a",)}, {"u": ("b",)}).as_json(cer=False)
    assert sorted(fields) == ["del", "errors", "ins", "sub", "utterances", "wer", "words"]


def test_the_space_between_words_is_a_character():
    assert characters(("to", "day")) == "to day"
    score = score_texts({"u": ("today",)}, {"u": ("to", "day")})
    assert (score.chars.errors, score.chars.reference) == (1, 5)
    assert (score.words.errors, score.words.reference) == (2, 1)


def test_rates_may_exceed_100_percent():
    assert Counts(hits=0, sub=1, dele=0, ins=2).percent == 300


def test_summary_is_kaldis_line():
    assert summary("WER", Counts(hits=97, sub=2, dele=1, ins=4)) == "%WER 7.00 [ 7 / 100, 4 ins, 1 del, 2 sub ]"


def test_missing_and_extra_utterances_are_named_and_counted():
    ref = {f"utt{i}": ("a",) for i in range(7)}
    with pytest.raises(UserError) as error:
        score_texts(ref, {"utt0": ("a",), "new": ("b",)})
    assert "6 utterances (utt1, utt2, utt3, utt4, utt5, ...) of the reference are not in the hypotheses" in str(
        error.value
    )
    assert "1 utterance (new) of the hypotheses is not in the reference" in str(error.value)


@pytest.mark.parametrize("ref", [{}, {"u1": (), "u2": ()}])
def test_a_reference_without_words_has_no_error_rate(ref):
    with pytest.raises(UserError, match="has no words"):
        score_texts(ref, dict(ref))


def test_errors_name_both_files(tmp_path):
    (tmp_path / "ref").write_text("u1 a\n")
    (tmp_path / "hyp").write_text("u2 a\n")
    with pytest.raises(UserError, match="hyp cannot be scored against .*ref: 1 utterance"):
        score_files(tmp_path / "ref", tmp_path / "hyp")
