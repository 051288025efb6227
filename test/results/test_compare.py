import json

import pytest

from dualmode.bin.compare import main
from dualmode.errors import UserError


def experiment(folder, dense, sparse):
    folder.mkdir()
    full = {"set": "test", "sparsity": 0.0, "chunk_ms": None, "lookahead_ms": None, "left_ms": None, "wer": dense}
    chunked = {"set": "test", "sparsity": 0.7, "chunk_ms": 640, "lookahead_ms": 0, "left_ms": 1280, "wer": sparse}
    (folder / "results.json").write_text(json.dumps([full, chunked]))
    return str(folder)


def test_mean_and_spread_over_seeds(tmp_path, capsys):
    a, b = experiment(tmp_path / "a", 4.0, 8.0), experiment(tmp_path / "b", 6.0, 8.5)
    c = experiment(tmp_path / "c", 5.0, 9.0)
    main([f"two={a},{b}", f"one={c}", "--out", str(tmp_path / "t.md"), "--json", str(tmp_path / "t.json")])
    lines = (tmp_path / "t.md").read_text().splitlines()
    assert lines[0].endswith("| test: dense, full | test: sparse 70 %, chunk 640 ms, look-ahead 0 ms, left 1280 ms |")
    assert lines[2:] == ["| two | 2 | 5.00 (4.00 to 6.00) | 8.25 (8.00 to 8.50) |", "| one | 1 | 5.00 | 9.00 |"]
    assert capsys.readouterr().out.splitlines() == lines
    assert json.loads((tmp_path / "t.json").read_text())[0]["mean"] == 5.0


def test_what_is_missing_is_named(tmp_path):
    a, b = experiment(tmp_path / "a", 4.0, 8.0), experiment(tmp_path / "b", 6.0, 8.5)
    with pytest.raises(UserError, match="there is no .*c/results.json: run stages 5 and 6"):
        main([f"x={tmp_path / 'c'}"])
    rows = json.loads((tmp_path / "b" / "results.json").read_text())
    (tmp_path / "b" / "results.json").write_text(json.dumps(rows[:1]))
    with pytest.raises(UserError, match="b/results.json has no row for test, sparse 70 % pruned"):
        main([f"x={a},{b}"])
    (tmp_path / "b" / "results.json").write_text("{}")
    with pytest.raises(UserError, match="is not a results.json|no row"):
        main([f"x={a},{b}"])


def test_what_an_experiment_does_not_have_is_said_to_be_not_run(tmp_path):
    a, b = experiment(tmp_path / "a", 4.0, 8.0), experiment(tmp_path / "b", 6.0, 8.5)
    rows = json.loads((tmp_path / "b" / "results.json").read_text())
    (tmp_path / "b" / "results.json").write_text(json.dumps(rows[1:]))
    main([f"both={a}", f"sparse alone={b}", "--out", str(tmp_path / "t.md"), "--json", str(tmp_path / "t.json")])
    assert (tmp_path / "t.md").read_text().splitlines()[2:] == [
        "| both | 1 | 4.00 | 8.00 |",
        "| sparse alone | 1 | not run | 8.50 |",
    ]
    assert [row["name"] for row in json.loads((tmp_path / "t.json").read_text())] == ["both", "both", "sparse alone"]
