"""compare --bootstrap, from decoded folders to tables, and the bars of a report."""

import dataclasses
import json

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode.bin.compare import main
from dualmode.bin.report import main as report
from dualmode.config import from_mapping
from dualmode.errors import UserError
from dualmode.results.interval_plot import interval_figure
from dualmode.results.intervals import Comparer
from dualmode.results.planned import Plan
from dualmode.results.score import score_texts, utterance_errors
from dualmode.results.speakers import SpeakerErrors

CHUNKED = {"sparsity": 0.7, "chunk_ms": 640, "lookahead_ms": 0, "left_ms": 1280}
FULL = {"sparsity": 0.0, "chunk_ms": None, "lookahead_ms": None, "left_ms": None}
OTHER = {
    "params_total": 1, "params_kept": 1, "bytes": 1, "rtf": 0.1, "audio_s": 1.0, "decode_s": 0.1, "utterances": 3,
    "threads": 1, "batch_size": 1, "checkpoint": "x.pth", "command": "decode",
}  # fmt: skip
# anna says 4 words and ben 6.
TEXT = {"u1": "a b c", "u2": "d", "u3": "a b c d e f"}
COLUMN = ("test", 0.0, "full")


@pytest.fixture
def data(tmp_path):
    """Return the folder of the sets: test, with two speakers, one of them a child."""
    folder = tmp_path / "data" / "test"
    folder.mkdir(parents=True)
    (folder / "text").write_text("".join(f"{utt} {words}\n" for utt, words in TEXT.items()))
    (folder / "utt2spk").write_text("u1 anna\nu2 anna\nu3 ben\n")
    (folder / "utt2subsets").write_text("u1 child\nu2 child\nu3 adult\n")
    return tmp_path / "data"


def run_of(folder, seed: int, wrong: dict[str, int], name="dense", subnet=FULL):
    """Write what one training decoded: of each utterance, so many of the first words are wrong."""
    out = folder / f"decode_{name}_test"
    out.mkdir(parents=True)
    lines = []
    for utt, text in TEXT.items():
        words = text.split()
        lines.append(" ".join([utt, *["wrong"] * wrong.get(utt, 0), *words[wrong.get(utt, 0) :]]) + "\n")
    (out / "text").write_text("".join(lines))
    meta = OTHER | subnet | {"set": "test", "subnet": name, "seed": seed}
    (out / "decode.json").write_text(json.dumps(meta))
    return str(folder)


def test_two_speakers_worked_out_by_hand(data, tmp_path, capsys):
    # anna: 1 and 2 of 4 words wrong, ben: 3 and 3 of 6.  Drawn again, either speaker stands for both.
    one, two = run_of(tmp_path / "one", 1, {"u2": 1, "u3": 3}), run_of(tmp_path / "two", 1, {"u1": 2, "u3": 3})
    options = ["--bootstrap", "1000", "--data-dir", str(data), "--against", "two"]
    main([f"one={one}", f"two={two}", *options, "--json", str(tmp_path / "x.json"), "--plot", str(tmp_path / "x.png")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:8] == [
        "| one | test, 10 words, 2 speakers | dense, full | 40.00 | 25.00 to 50.00 | 1 |",
        "| two | test, 10 words, 2 speakers | dense, full | 50.00 | 50.00 to 50.00 | 1 |",
        "| one | test/adult, 6 words, one speaker | dense, full | 50.00 | - | 1 |",
        "| two | test/adult, 6 words, one speaker | dense, full | 50.00 | - | 1 |",
        "| one | test/child, 4 words, one speaker | dense, full | 25.00 | - | 1 |",
        "| two | test/child, 4 words, one speaker | dense, full | 50.00 | - | 1 |",
    ]
    assert lines[11].startswith("| one | test | dense, full | -10.00 | -25.00 to +0.00 | ")
    assert lines[12:14] == [
        "| one | test/adult | dense, full | +0.00 | - | - | - | 1 |",
        "| one | test/child | dense, full | -25.00 | - | - | - | 1 |",
    ]
    assert any("about other speakers only" in line for line in lines)
    assert not any("two seeds hold the truth" in line for line in lines)
    first = json.loads((tmp_path / "x.json").read_text())["rows"][0]
    assert first["interval"] == [25.0, 50.0] and (first["words"], first["speakers"], first["seeds"]) == (10, 2, [1])
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_runs_are_paired_by_their_seeds(data, tmp_path, capsys):
    a = [run_of(tmp_path / "a1", 1, {"u1": 1}), run_of(tmp_path / "a2", 2, {"u1": 3})]
    b = [run_of(tmp_path / "b3", 3, {"u1": 2}), run_of(tmp_path / "b2", 2, {"u1": 1})]
    c = run_of(tmp_path / "c", 4, {})
    options = ["--bootstrap", "1000", "--data-dir", str(data), "--against", "b"]
    main([f"a={','.join(a)}", f"b={','.join(b)}", f"c={c}", *options])
    out = capsys.readouterr().out
    assert "those of 125 speakers and two seeds hold the truth" in out
    lines = [line for line in out.splitlines() if "| test | dense" in line]
    assert (
        len(lines) == 1 and lines[0].startswith("| a | test | dense, full | +20.00 | ") and lines[0].endswith("| 2 |")
    )
    with pytest.raises(UserError, match="b2 has the seed 2 that .*a2 has, too"):
        main([f"a={a[1]},{b[1]}", *options[:-2]])


def test_a_beam_is_not_compared_with_the_greedy_search(data, tmp_path, capsys):
    greedy = run_of(tmp_path / "greedy", 1, {"u1": 1})
    beam = run_of(tmp_path / "beam", 1, {}, subnet=FULL | {"beam_size": 8})
    main([f"greedy={greedy}", f"beam={beam}", "--bootstrap", "1000", "--data-dir", str(data), "--against", "greedy"])
    lines = capsys.readouterr().out.splitlines()
    assert "| dense, full, beam 8 |" in next(line for line in lines if line.startswith("| beam | test, "))
    assert not any(line.startswith("| beam | test |") for line in lines)
    said = "WER minus that of greedy: no other row has one of its sub-networks on the same set with the same seed."
    assert said in lines


def test_differences_say_of_which_chunk_they_are(data, tmp_path, capsys):
    """Where other rows, which have nothing to be compared with, were decoded in other chunks."""
    new = run_of(tmp_path / "new", 1, {"u1": 1}, "sparse", CHUNKED)
    run_of(tmp_path / "new", 1, {}, "sparse_320", CHUNKED | {"chunk_ms": 320})
    old = run_of(tmp_path / "old", 1, {"u1": 2}, "sparse", CHUNKED)
    main([f"new={new}", f"old={old}", "--bootstrap", "1000", "--data-dir", str(data), "--against", "old"])
    estimates, differences = capsys.readouterr().out.split("| WER minus that of old")
    assert "chunk 320 ms" in estimates and "| new | test | sparse 70 %, chunk 640 ms" in differences


def test_words_of_utterances_are_those_of_the_score(data, tmp_path):
    with pytest.raises(UserError, match="u3.* of the reference is not in the hypotheses"):
        folder = run_of(tmp_path / "a", 1, {})
        (tmp_path / "a" / "decode_dense_test" / "text").write_text("u1 a\nu2 b\n")
        main([f"a={folder}", "--bootstrap", "1000", "--data-dir", str(data)])
    (data / "test" / "utt2spk").write_text("u1 anna\nu2 anna\n")
    with pytest.raises(UserError, match="utt2spk has no speaker of u3"):
        main([f"a={folder}", "--bootstrap", "1000", "--data-dir", str(data)])


words = st.lists(st.sampled_from("abc"), max_size=6).map(tuple)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(words, words), min_size=1, max_size=4))
def test_errors_of_utterances_add_up_to_those_of_the_set(pairs):
    ref, hyp = ({f"u{n}": pair[side] for n, pair in enumerate(pairs)} for side in (0, 1))
    found = utterance_errors(ref, hyp)
    if any(ref.values()):
        score = score_texts(ref, hyp).words
        assert [sum(column) for column in zip(*found.values(), strict=True)] == [score.errors, score.reference]


def errors(*runs, words=(50, 100, 100), times=4) -> SpeakerErrors:
    """Return errors of speakers of whom each stands there so many times."""
    names = tuple(f"speaker{number:02d}" for number in range(times * len(words)))
    return SpeakerErrors(np.tile(words, times), np.tile(runs, times), tuple(range(1, len(runs) + 1)), names)


def plan(*asked, margin=1.0) -> Plan:
    names = ("row", "against", "set", "weights", "ask")
    items = [dict(zip(names, one, strict=True)) for one in asked]
    return from_mapping(Plan, {"margin": margin, "comparisons": items}, "planned.yaml")


def test_verdicts_of_planned_comparisons():
    base = errors((10, 20, 20))
    rows = {
        "same": {COLUMN: base},
        "base": {COLUMN: base},
        "worse": {COLUMN: errors((15, 30, 30))},
        "unsure": {COLUMN: errors((8, 24, 20))},
        "better": {COLUMN: errors((9, 18, 18))},
    }
    asked = [(row, "base", "test", "dense", ask) for ask in ("non-inferior", "different") for row in rows]
    verdicts = plan(*asked, ("base", "later", "test", "dense", "different")).verdicts(rows, Comparer(5000))
    assert [verdict.text for verdict in verdicts] == [
        "non-inferior", "non-inferior", "worse by more than the margin", "not shown", "non-inferior",
        "no difference shown", "no difference shown", "higher", "no difference shown", "lower",
        "not run",
    ]  # fmt: skip
    assert verdicts[2].difference.value == pytest.approx(10.0) and verdicts[-1].p_holm is None
    # Twelve speakers and one seed: p is 2/5001 at least, and eleven comparisons are counted, the missing one too.
    assert verdicts[0].p_holm == pytest.approx(11 * 2 / 5001)


@pytest.mark.parametrize("ask", ["non-inferior", "different"])
def test_few_speakers_are_not_judged_however_alike_they_are(ask):
    rows = {name: {COLUMN: errors(wrong, times=3)} for name, wrong in (("a", (10, 20, 20)), ("b", (15, 30, 30)))}
    comparisons = [("a", "b", "test", "dense", ask)]
    (judged,) = plan(*comparisons).verdicts(rows, Comparer(1000))
    assert judged.text == "too few speakers to be judged" and judged.p_holm is None
    assert judged.difference.speakers == 9 and judged.difference.interval == pytest.approx((-10.0, -10.0))


def test_what_holds_alone_may_not_hold_among_many():
    # Few of 2000 resamples are above the margin: p is below 0.05, but not thirty times.
    rows = {"a": {COLUMN: errors((10, 21, 20), words=(50, 100, 100))}, "b": {COLUMN: errors((10, 20, 20))}}
    (alone,) = plan(("a", "b", "test", "dense", "non-inferior"), margin=0.8).verdicts(rows, Comparer(2000))
    assert alone.text == "non-inferior"
    asked = [("a", against, "test", "dense", "non-inferior") for against in ["b", *(f"later{n}" for n in range(29))]]
    among_many, *later = plan(*asked, margin=0.8).verdicts(rows, Comparer(2000))
    assert among_many.text == "non-inferior, but not after Holm's correction"
    assert {one.text for one in later} == {"not run"}
    # The least p of 1000 resamples is 2/1001: thirty times that is no clear difference, whatever the rows are.
    with pytest.raises(UserError, match="--bootstrap 1000: of 30 planned comparisons none .* give at least 2000"):
        plan(*asked).verdicts(rows, Comparer(1000))
    Comparer(1200).check_enough_for(30)


def test_rows_without_a_seed_that_both_have_are_not_called_not_run():
    one = errors((10, 20, 20))
    other = dataclasses.replace(one, seeds=(7, 8, 9))
    rows = {"a": {COLUMN: one}, "b": {COLUMN: other}}
    (judged,) = plan(("a", "b", "test", "dense", "different")).verdicts(rows, Comparer(1000))
    assert judged.text == "no seed that both have"


def test_a_plan_names_its_mistakes(data, tmp_path):
    with pytest.raises(UserError, match="ask 'better': it must be non-inferior or different"):
        plan(("a", "b", "test", "dense", "better"))
    with pytest.raises(UserError, match="a comparison has no key 'rows'"):
        from_mapping(Plan, {"margin": 1.0, "comparisons": [{"rows": "a"}]}, "planned.yaml")
    with pytest.raises(UserError, match="margin is -1"):
        plan(("a", "b", "test", "dense", "different"), margin=-1.0)
    with pytest.raises(UserError, match="at least one comparison"):
        plan()
    both = {(*COLUMN[:1], 0.7, where): errors((1, 2, 3)) for where in ("chunk 320 ms", "chunk 640 ms")}
    with pytest.raises(UserError, match="one of them has several sparse sub-networks on test"):
        plan(("a", "b", "test", "sparse", "different")).verdicts({"a": both, "b": both}, Comparer(1000))
    asked = ("a", "b", "test", "sparse", "different")
    with pytest.raises(UserError, match="comparison of a with b .* is planned twice"):
        plan(asked, asked)
    one, other = ({column: run} for column, run in both.items())
    with pytest.raises(
        UserError, match="they have sparse 70 % pruned chunk 320 ms and sparse 70 % pruned chunk 640 ms"
    ):
        plan(asked).verdicts({"a": one, "b": other}, Comparer(1000))
    with pytest.raises(UserError, match="a set that no row has: they have test"):
        plan(("a", "b", "tst", "sparse", "different")).verdicts({"a": one}, Comparer(1000))
    with pytest.raises(UserError, match="different references"):
        Comparer(1000).difference(errors((1, 2, 3)), errors((1, 2, 3), words=(50, 100, 90)))


def test_the_command_judges_a_plan(data, tmp_path, capsys):
    both = tmp_path / "both"
    run_of(both, 1, {"u3": 1})
    run_of(both, 1, {"u3": 2}, "sparse", CHUNKED)
    alone = run_of(tmp_path / "alone", 1, {"u3": 2}, "sparse", CHUNKED)
    comparison = {"row": "both", "against": "alone", "set": "test", "weights": "sparse", "ask": "non-inferior"}
    (tmp_path / "p.yaml").write_text(yaml.safe_dump({"margin": 1.0, "comparisons": [comparison]}))
    options = ["--bootstrap", "1000", "--data-dir", str(data), "--planned", str(tmp_path / "p.yaml")]
    main([f"both={both}", f"alone={alone}", *options, "--json", str(tmp_path / "x.json")])
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if "below +1.00?" in line]
    assert line == (
        "| both | alone | test | sparse | +0.00 | +0.00 to +0.00 | 0.00 | 1 | below +1.00? | - "
        "| too few speakers to be judged |"
    )
    assert "Sparse sub-networks: chunk 640 ms, look-ahead 0 ms, left 1280 ms." in lines
    assert json.loads((tmp_path / "x.json").read_text())["rows"][-1]["verdict"] == "too few speakers to be judged"
    assert any("judged from 10 speakers on" in line for line in lines)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--bootstrap", "1000"], "--bootstrap needs --data-dir"),
        (["--bootstrap", "10", "--data-dir", "."], "at least 1000 resamples"),
        (["--data-dir", "."], "give --bootstrap 10000, too"),
    ],
)
def test_options_that_do_not_go_together(options, said, tmp_path):
    with pytest.raises(UserError, match=said):
        main([f"a={tmp_path}", *options])


def test_the_figure_has_a_line_for_each_row_and_the_margin():
    rows = {"a": {COLUMN: errors((10, 20, 20))}, "b": {COLUMN: errors((15, 30, 30))}}
    comparer = Comparer(1000)
    verdicts = plan(("b", "a", "test", "dense", "non-inferior"), margin=2.0).verdicts(rows, comparer)
    left, right = interval_figure(comparer.estimates(rows), verdicts).axes
    assert [text.get_text() for text in left.get_yticklabels()] == ["a", "b"]
    assert left.get_title() == "test: 1000 words, 12 speakers"
    assert [container[0].get_xdata()[0] for container in left.containers] == pytest.approx([20.0, 30.0])
    assert right.containers[0][0].get_xdata()[0] == pytest.approx(10.0)
    assert 2.0 in [line.get_xdata()[0] for line in right.lines]


def test_a_report_gives_intervals_where_there_are_speakers(data, tmp_path):
    run_of(tmp_path / "exp", 1, {"u2": 1, "u3": 3})
    report(["--exp", str(tmp_path / "exp"), "--data-dir", str(data)])
    (row,) = json.loads((tmp_path / "exp" / "results.json").read_text())
    assert (row["wer"], row["speakers"], row["wer_interval"]) == (40.0, 2, [25.0, 50.0])
    # One who says nothing adds errors and no words: 5 of 10, and of the speakers that are drawn alone 25 or 50 %.
    (data / "test" / "text").write_text("".join(f"{utt} {words}\n" for utt, words in TEXT.items()) + "u4\n")
    (data / "test" / "utt2spk").write_text("u1 anna\nu2 anna\nu3 ben\nu4 carl\n")
    with open(tmp_path / "exp" / "decode_dense_test" / "text", "a") as out:
        out.write("u4 noise\n")
    meta = json.loads((tmp_path / "exp/decode_dense_test/decode.json").read_text())
    (tmp_path / "exp/decode_dense_test/decode.json").write_text(json.dumps(meta | {"utterances": 4}))
    report(["--exp", str(tmp_path / "exp"), "--data-dir", str(data)])
    (row,) = json.loads((tmp_path / "exp" / "results.json").read_text())
    assert (row["wer"], row["speakers"]) == (50.0, 3) and row["wer_interval"][0] == 25.0
    (data / "test" / "utt2spk").unlink()
    report(["--exp", str(tmp_path / "exp"), "--data-dir", str(data)])
    assert "wer_interval" not in json.loads((tmp_path / "exp" / "results.json").read_text())[0]
