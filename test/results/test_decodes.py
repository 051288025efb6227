"""Reading decoded sets: rows in order, and one clear sentence for what is missing or damaged."""

import json
import shutil

import pytest

from dualmode.errors import UserError
from dualmode.results.compare import read_rows, wers_of
from dualmode.results.decodes import FIELDS, read_decodes, rejected_utterances
from dualmode.results.table import markdown_table


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_rows_by_set_then_dense_before_sparse(decoded):
    rows = [decode.row() for decode in read_decodes(*decoded)]
    assert [(row["set"], row["subnet"]) for row in rows] == [
        ("other", "dense"),
        ("other", "sparse"),
        ("test", "dense"),
        ("test", "sparse"),
    ]


def test_full_context_before_long_chunks_before_short_ones(decoded):
    exp, data = decoded
    for chunk in (320, 1280):
        folder = shutil.copytree(exp / "decode_sparse_test", exp / f"decode_sparse{chunk}_test")
        edit(folder / "decode.json", subnet=f"sparse{chunk}", chunk_ms=chunk)
    chunks = [decode.meta["chunk_ms"] for decode in read_decodes(exp, data) if decode.meta["set"] == "test"]
    assert chunks == [None, 1280, 640, 320]


def test_a_row_worked_out_by_hand(decoded):
    row = read_decodes(*decoded)[-1].row()
    # Words of u1: on/off S, "the" D, of 5.  Characters: "n the " -> "ff " is 2 S and 3 D, of 17 + 4.
    assert row == {
        "set": "test",
        "subnet": "sparse",
        "sparsity": 0.7,
        "chunk_ms": 640,
        "lookahead_ms": 0,
        "left_ms": 1280,
        "wer": 40.0,
        "cer": pytest.approx(100 * 5 / 21),
        "sub": 1,
        "del": 1,
        "ins": 0,
        "words": 5,
        "utterances": 2,
        "params_total": 2_500_000,
        "params_kept": 1_210_000,
        "bytes": 5_060_000,
        "rtf": 0.0125,
        "emission_delay": None,
    }


@pytest.mark.parametrize("key", FIELDS)
def test_every_field_is_needed(decoded, key):
    path = decoded[0] / "decode_dense_test" / "decode.json"
    meta = json.loads(path.read_text())
    del meta[key]
    path.write_text(json.dumps(meta))
    with pytest.raises(UserError, match=f"decode_dense_test/decode.json has no '{key}'"):
        read_decodes(*decoded)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"sparsity": 1.2}, "sparsity is a share"),
        ({"sparsity": True}, "'sparsity' cannot be True"),
        ({"rtf": "fast"}, "'rtf' cannot be 'fast'"),
        ({"rtf": float("nan")}, "not valid JSON .*NaN"),
        ({"utterances": 3}, "has 2 utterances but decode.json says 3"),
        ({"set": "nowhere"}, "there is no reference .*nowhere/text"),
        ({"set": "other"}, "both hold dense on other"),
    ],
)
def test_what_cannot_be_is_one_sentence(decoded, change, message):
    edit(decoded[0] / "decode_dense_test" / "decode.json", **change)
    with pytest.raises(UserError, match=message):
        read_decodes(*decoded)


@pytest.mark.parametrize("content", ["", "{", "[1]", '"text"', "[" * 100_000])
def test_damaged_json(decoded, content):
    (decoded[0] / "decode_dense_test" / "decode.json").write_text(content)
    with pytest.raises(UserError, match="decode_dense_test/decode.json .*decode it again"):
        read_decodes(*decoded)


@pytest.mark.parametrize("name, message", [("decode.json", "decoding did not finish"), ("text", "has no text")])
def test_an_unfinished_decoding(decoded, name, message):
    (decoded[0] / "decode_sparse_other" / name).unlink()
    with pytest.raises(UserError, match=message):
        read_decodes(*decoded)


def test_nothing_decoded(tmp_path):
    with pytest.raises(UserError, match="has no decode_"):
        read_decodes(tmp_path, tmp_path)


def test_rejected_utterances_are_counted_once_each(tmp_path):
    (tmp_path / "rejected.tsv").write_text("utt\treason\tdetail\nu1\tstereo\t2\nu1\trate\t8000\nu2\tempty\t\n")
    assert rejected_utterances(tmp_path / "rejected.tsv") == 2
    assert rejected_utterances(tmp_path / "none.tsv") == 0


def test_a_search_that_is_not_greedy_is_named(decoded):
    exp, data = decoded
    beam = exp / "decode_beam_test"
    shutil.copytree(exp / "decode_dense_test", beam)
    edit(beam / "decode.json", subnet="beam", beam_size=8, lm="lm/3.arpa", lm_weight=0.3, hotwords=[])
    rows = [decode.row() for decode in read_decodes(exp, data) if decode.meta["sparsity"] == 0]
    assert {row["subnet"]: row.get("search") for row in rows if row["set"] == "test"} == {
        "beam": "beam 8, LM 3.arpa * 0.3",
        "dense": None,
    }
    shown = [line.split(" | ")[2] for line in markdown_table(rows) if line.startswith("| test")]
    assert sorted(shown) == ["full", "full, beam 8, LM 3.arpa * 0.3"]
    (exp / "results.json").write_text(json.dumps(rows))
    wers = wers_of(exp / "results.json", read_rows(exp / "results.json"))  # of two searches, and not one decoded twice
    assert ("test", 0.0, "full") in wers and ("test", 0.0, "full, beam 8, LM 3.arpa * 0.3") in wers


@pytest.mark.parametrize(("key", "value"), [("beam_size", "8"), ("hotwords", 3), ("lm", 3), ("lm_weight", None)])
def test_a_damaged_search_is_one_sentence(decoded, key, value):
    edit(decoded[0] / "decode_dense_test" / "decode.json", **{key: value})
    with pytest.raises(UserError, match=f"'{key}' cannot be {value!r}"):
        read_decodes(*decoded)


def test_searches_of_one_name_are_told_apart(decoded):
    exp, data_dir = decoded
    shutil.copytree(exp / "decode_dense_test", exp / "decode_lm_test")
    search = {"beam_size": 4, "lm": None, "lm_weight": 0.3, "hotwords": [], "hotword_boost": 1.5}
    edit(exp / "decode_dense_test" / "decode.json", **search)
    edit(exp / "decode_lm_test" / "decode.json", **search | {"lm": "lm/3.arpa"})
    rows = [decode.row() for decode in read_decodes(exp, data_dir) if decode.folder.name != "decode_sparse_test"]
    assert {row.get("search") for row in rows} >= {"beam 4", "beam 4, LM 3.arpa * 0.3"}
