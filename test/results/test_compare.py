import json

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from dualmode.bin.compare import main
from dualmode.errors import UserError
from dualmode.results.compare import Spread
from dualmode.results.compare_plot import comparison_figure


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
    assert lines[0] == "| test: WER %, mean (lowest to highest) | runs | dense, full | sparse 70 % |"
    assert lines[4:] == ["", "Sparse sub-networks: chunk 640 ms, look-ahead 0 ms, left 1280 ms."]
    assert lines[2:4] == ["| two | 2 | 5.00 (4.00 to 6.00) | 8.25 (8.00 to 8.50) |", "| one | 1 | 5.00 | 9.00 |"]
    assert capsys.readouterr().out.splitlines() == lines
    written = json.loads((tmp_path / "t.json").read_text())
    [command], figures = written["origin"]["commands"], written["rows"]
    assert command.startswith(f"dualmode compare two={a},{b} one={c} --out ")
    assert written["origin"].keys() >= {"commit", "versions", "machine", "date"}
    assert (figures[0]["mean"], figures[0]["runs"], figures[0]["values"]) == (5.0, 2, [4.0, 6.0])


def test_sub_networks_of_the_same_weights_are_told_apart_in_the_picture():
    cell = Spread((5.0,))
    columns = [
        ("test", 0.0, "full"),
        ("test", 0.7, "chunk 320 ms, left 640 ms"),
        ("test", 0.7, "chunk 640 ms, left 640 ms"),
    ]
    axes = comparison_figure(columns, {"x": [cell, cell, cell]}).axes[0]
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names[1:] == ["70 % pruned\nchunk 320 ms\nleft 640 ms", "70 % pruned\nchunk 640 ms\nleft 640 ms"]


def test_a_run_counts_once(tmp_path):
    a = experiment(tmp_path / "a", 4.0, 8.0)
    with pytest.raises(UserError, match="there are two rows x: write its runs behind one name, x=EXP,EXP"):
        main([f"x={a}", f"x={a}"])
    with pytest.raises(UserError, match="row x has the same run twice"):
        main([f"x={a},{a}/../a"])


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


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{}", "it must be a list of rows"),
        ("[]", "it has no row of a decoded set"),
        ('[{"runtime": "dualmode"}]', "it has no row of a decoded set"),
        ("[" * 100_000, "maximum recursion depth"),
    ],
)
def test_a_file_without_rows_is_refused(tmp_path, content, says):
    a = experiment(tmp_path / "a", 4.0, 8.0)
    (tmp_path / "a" / "results.json").write_text(content)
    with pytest.raises(UserError, match=f"a/results.json is not a results.json of dualmode report: {says}"):
        main([f"x={a}"])


def test_a_nested_decode_json_is_one_sentence(tmp_path):
    a, b = experiment(tmp_path / "a", 4.0, 8.0), experiment(tmp_path / "b", 6.0, 8.5)
    (tmp_path / "b" / "decode_x").mkdir()
    (tmp_path / "b" / "decode_x" / "decode.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match=r"b/decode_x/decode.json is not valid JSON .*recursion"):
        main([f"a={a}", f"b={b}", "--against", "a"])


def test_what_an_experiment_does_not_have_is_said_to_be_not_run(tmp_path):
    a, b = experiment(tmp_path / "a", 4.0, 8.0), experiment(tmp_path / "b", 6.0, 8.5)
    rows = json.loads((tmp_path / "b" / "results.json").read_text())
    (tmp_path / "b" / "results.json").write_text(json.dumps(rows[1:]))
    main([f"both={a}", f"sparse alone={b}", "--out", str(tmp_path / "t.md"), "--json", str(tmp_path / "t.json")])
    assert (tmp_path / "t.md").read_text().splitlines()[2:4] == [
        "| both | 1 | 4.00 | 8.00 |",
        "| sparse alone | 1 | not run | 8.50 |",
    ]
    assert [row["name"] for row in json.loads((tmp_path / "t.json").read_text())["rows"]] == [
        "both",
        "both",
        "sparse alone",
    ]


def test_runs_of_one_seed_are_compared_with_each_other(tmp_path, capsys):
    base = [experiment(tmp_path / f"b{n}", wer, 8.0) for n, wer in enumerate((4.0, 10.0))]
    other = [experiment(tmp_path / f"o{n}", wer, 9.0) for n, wer in enumerate((4.5, 9.75))]
    json_file = tmp_path / "x.json"
    main([f"base={','.join(base)}", f"other={','.join(other)}", "--against", "base", "--json", str(json_file)])
    rows = json.loads(json_file.read_text())["rows"]
    assert [(row["name"], row.get("against"), row["mean"]) for row in rows] == [
        ("base", None, 7.0), ("base", None, 8.0), ("other", None, 7.125), ("other", None, 9.0),
        ("other", "base", 0.125), ("other", "base", 1.0),
    ]  # fmt: skip
    assert capsys.readouterr().out.splitlines()[7:] == [
        "| test: WER minus that of base, % absolute, mean (lowest to highest) | runs | dense, full | sparse 70 % |",
        "| :-- | --: | --: | --: |",
        "| other | 2 | +0.12 (-0.25 to +0.50) | +1.00 (+1.00 to +1.00) |",
        "",
        "Sparse sub-networks: chunk 640 ms, look-ahead 0 ms, left 1280 ms.",
    ]
    with pytest.raises(UserError, match="other has 1 runs and base 2"):
        main([f"base={','.join(base)}", f"other={other[0]}", "--against", "base"])
    with pytest.raises(UserError, match="--against is x: the rows are base"):
        main([f"base={base[0]}", "--against", "x"])


def test_runs_of_other_seeds_are_not_compared_one_by_one(tmp_path, decoded):
    meta = json.loads((decoded[0] / "decode_dense_test" / "decode.json").read_text())
    runs = {name: experiment(tmp_path / name, 4.0, 8.0) for name in ("a1", "a2", "b1", "b2")}
    for name in runs:
        (tmp_path / name / "decode_x").mkdir()
        (tmp_path / name / "decode_x" / "decode.json").write_text(json.dumps(meta | {"seed": int(name[1])}))
    main([f"a={runs['a1']},{runs['a2']}", f"b={runs['b1']},{runs['b2']}", "--against", "a"])
    with pytest.raises(UserError, match="b2 has the seed 2 and .*a1, which it is compared with, 1: name the runs of b"):
        main([f"a={runs['a1']},{runs['a2']}", f"b={runs['b2']},{runs['b1']}", "--against", "a"])
    main([f"a={runs['a1']},{runs['a2']}", f"b={runs['b2']},{runs['b1']}"])


def test_two_decodings_by_one_sub_network_are_refused(tmp_path):
    folder = tmp_path / "a"
    experiment(folder, 4.0, 8.0)
    rows = json.loads((folder / "results.json").read_text())
    (folder / "results.json").write_text(json.dumps([*rows, rows[1] | {"subnet": "sparse_beam8", "wer": 5.0}]))
    with pytest.raises(UserError, match="has test decoded twice by one sub-network .sparsity 0.7, chunk 640 ms"):
        main([f"x={folder}"])


def test_each_set_has_a_table_and_several_contexts_are_told_apart(tmp_path, capsys):
    folder = tmp_path / "a"
    experiment(folder, 4.0, 8.0)
    rows = json.loads((folder / "results.json").read_text())
    rows.append(rows[1] | {"set": "other", "chunk_ms": 160})
    (folder / "results.json").write_text(json.dumps(rows))
    main([f"x={folder}", "--plot", str(tmp_path / "x.png")])
    assert capsys.readouterr().out.splitlines() == [
        "| other: WER %, mean (lowest to highest) | runs | sparse 70 %, chunk 160 ms, look-ahead 0 ms, left 1280 ms |",
        "| :-- | --: | --: |",
        "| x | 1 | 8.00 |",
        "",
        "| test: WER %, mean (lowest to highest) | runs | dense, full | "
        "sparse 70 %, chunk 640 ms, look-ahead 0 ms, left 1280 ms |",
        "| :-- | --: | --: | --: |",
        "| x | 1 | 4.00 | 8.00 |",
    ]
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_the_figure_shows_the_means_and_spreads():
    columns = [("test", 0.0, "full"), ("test", 0.7, "chunk"), ("other", 0.7, "chunk")]
    rows = {"a": [Spread((1.0, 3.0)), Spread((5.0,)), None], "b": [None, Spread((6.0,)), Spread((7.0,))]}
    figure = comparison_figure(columns, rows)
    first, second = figure.axes
    assert [list(container[0].get_ydata()) for container in first.containers] == [[2.0, 5.0], [6.0]]
    assert first.containers[0][2][0].get_segments()[0][:, 1].tolist() == [1.0, 3.0]
    assert [text.get_text() for text in first.get_xticklabels()] == ["dense", "70 % pruned"]
    assert [list(container[0].get_ydata()) for container in second.containers] == [[], [7.0]]


def test_long_names_fit_into_the_legend_of_the_figure():
    names = ["supernet, branches in turn", "supernet, both branches", "a dense model alone", "a sparse model alone"]
    figure = comparison_figure([("test", 0.0, "full")], {name: [Spread((4.0,))] for name in names})
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("wer", "x", "wer is 'x'"),
        ("set", 1, "set is 1"),
        ("chunk_ms", [], r"chunk_ms is \[\]"),
        ("wer", None, "wer is None"),
        ("wer", True, "wer is True"),
        ("wer", float("nan"), "NaN is not a number"),
    ],
)
def test_a_damaged_value_is_named_with_its_key(tmp_path, key, value, says):
    a = experiment(tmp_path / "a", 4.0, 8.0)
    rows = json.loads((tmp_path / "a" / "results.json").read_text())
    rows[0][key] = value
    (tmp_path / "a" / "results.json").write_text(json.dumps(rows))
    with pytest.raises(UserError, match=f"a/results.json is not a results.json of dualmode report: {says}"):
        main([f"x={a}"])


def test_error_rates_against_other_references_are_not_compared(tmp_path):
    a, b = experiment(tmp_path / "a", 4.0, 8.0), experiment(tmp_path / "b", 6.0, 8.5)
    for name, words in (("a", 1408), ("b", 1400)):
        rows = json.loads((tmp_path / name / "results.json").read_text())
        (tmp_path / name / "results.json").write_text(json.dumps([row | {"words": words} for row in rows]))
    with pytest.raises(UserError, match="test has 1408 words in .*a/results.json and 1400 in .*b/results.json"):
        main([f"x={a}", f"y={b}"])
    main([f"x={a}"])


def test_files_that_are_written_are_no_others(tmp_path):
    a = experiment(tmp_path / "a", 20.0, 30.0)
    with pytest.raises(UserError, match="--out and --json are the same file, .*b/../x: name one for each"):
        main([f"x={a}", "--out", str(tmp_path / "x"), "--json", str(tmp_path / "b/../x")])
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    with pytest.raises(UserError, match="config.yaml is there and is no PNG"):
        main([f"x={a}", "--plot", str(tmp_path / "config.yaml")])
    assert (tmp_path / "config.yaml").read_text() == "seed: 0\n"


@pytest.mark.parametrize("option", ["--out", "--json", "--plot"])
@pytest.mark.parametrize("name", ["results.json", "decode_x/text", "decode_x/decode.json"])
def test_what_is_compared_is_not_replaced(tmp_path, name, option):
    a, b = experiment(tmp_path / "a", 20.0, 30.0), experiment(tmp_path / "b", 20.0, 30.0)
    (tmp_path / "b/decode_x").mkdir()
    (tmp_path / "b" / name).touch()
    before = (tmp_path / "b" / name).read_text()
    with pytest.raises(UserError, match=f"b/{name} is read here, and {option} would replace it: name another"):
        main([f"A={a}", f"B={b}", option, f"{b}/{name}"])
    assert (tmp_path / "b" / name).read_text() == before


def test_references_and_plans_are_not_replaced(tmp_path):
    a, planned = experiment(tmp_path / "a", 20.0, 30.0), tmp_path / "planned.yaml"
    for name in ("dump", "data"):
        (tmp_path / name / "test").mkdir(parents=True)
    planned.touch()
    options = ["--bootstrap", "10", "--data-dir", str(tmp_path / "dump"), "--subsets-dir", str(tmp_path / "data")]
    for path in (tmp_path / "dump/test/text", tmp_path / "data/test/utt2subsets", planned):
        path.touch()
        with pytest.raises(UserError, match=f"{path} is read here, and --json would replace it"):
            main([f"A={a}", *options, "--planned", str(planned), "--json", str(path)])


@pytest.mark.parametrize("text", ["-1", "4294967296", "1.5"])
def test_a_seed_that_is_none_is_one_sentence(tmp_path, capsys, text):
    a = experiment(tmp_path / "a", 20.0, 30.0)
    with pytest.raises(SystemExit):
        main([f"x={a}", "--random-seed", text])
    assert f"{text} is no seed: it must be a whole number from 0 to 4294967295" in capsys.readouterr().err
