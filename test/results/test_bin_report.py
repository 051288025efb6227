"""The report command, as stage 6 runs it."""

import json
import subprocess
import sys

import pytest

from dualmode.bin.report import main
from dualmode.errors import UserError


def test_everything_is_written_and_the_table_printed(decoded, capsys):
    exp, data = decoded
    (exp / "config.yaml").write_text("seed: 7\n")
    (data / "test" / "rejected.tsv").write_text("utt\treason\tdetail\nu9\tempty\t\n")
    options = ["--title", "Tiny", "--note", "Synthetic speech.", "--command", "./run.sh --seed 7"]
    main(["--exp", str(exp), "--data-dir", str(data), *options])

    rows = json.loads((exp / "results.json").read_text())
    assert [(row["set"], row["sparsity"], row["chunk_ms"], row["wer"]) for row in rows] == [
        ("other", 0, None, 20.0),
        ("other", 0.7, 640, 40.0),
        ("test", 0, None, 20.0),
        ("test", 0.7, 640, 40.0),
    ]
    page = (exp / "RESULTS.md").read_text()
    assert page.startswith("# Tiny\n\n> Synthetic speech.\n")
    assert "| test | sparse 70 % pruned | chunk 640 ms, look-ahead 0 ms, left 1280 ms | 40.00 | 1/1/0 " in page
    assert "> test: utterances rejected as bad data and not scored: 1 (see " in page
    assert "```sh\n./run.sh --seed 7\npython -m dualmode.bin.asr_inference --data dump/other" in page
    assert "dualmode.bin.report" not in page  # the command given covers it
    assert "- Commit of this report: " in page  # a training may be of another
    assert "- Seed: 7\n" in page and "config.yaml` (sha256" in page
    assert "![wer.png](wer.png)" in page and (exp / "wer.png").read_bytes().startswith(b"\x89PNG")

    score = json.loads((exp / "decode_dense_test" / "score.json").read_text())
    assert (score["wer"], score["ins"], score["words"], score["cer"]) == (20.0, 1, 5, pytest.approx(100 * 3 / 21))
    assert "Eval:        S   D" in (exp / "decode_sparse_test" / "score.txt").read_text()

    printed = capsys.readouterr().out
    assert "sparse 70 %  chunk 640 ahead 0 left 1280  40.00" in printed
    assert max(map(len, printed.splitlines()[:9])) <= 150


def test_the_page_says_where_and_how_precisely_a_row_was_decoded(decoded):
    exp, data = decoded
    path = exp / "decode_dense_test" / "decode.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"device": "NVIDIA H200", "precision": "bf16"}))
    main(["--exp", str(exp), "--data-dir", str(data)])
    lines = (exp / "RESULTS.md").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("| test | dense | 2 |")]
    assert "| NVIDIA H200 |" in line and "| bf16 |" in line
    path.write_text(json.dumps(json.loads(path.read_text()) | {"beam_size": 8}))
    main(["--exp", str(exp), "--data-dir", str(data)])
    assert "\n| test | dense, beam 8 | 2 |" in (exp / "RESULTS.md").read_text()


def test_differing_seeds_are_told(decoded):
    exp, data = decoded
    path = exp / "decode_dense_test" / "decode.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"seed": 8}))
    main(["--exp", str(exp), "--data-dir", str(data)])
    assert "- Seed: differs, or is unknown: see the table above" in (exp / "RESULTS.md").read_text()


def test_a_failed_report_writes_nothing(decoded):
    exp, data = decoded
    (exp / "decode_sparse_test" / "text").write_text("u1 turn\n")
    command = [sys.executable, "-m", "dualmode.bin.report", "--exp", str(exp), "--data-dir", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "u2" in done.stderr
    assert not list(exp.glob("RESULTS.md")) and not list(exp.glob("*/score.json"))


def test_device_rows_of_an_earlier_model_are_left_out_and_named(on_device, capsys):
    exp, data, write = on_device
    write(reference_sha256="0" * 64)
    main(["--exp", str(exp), "--data-dir", str(data)])
    page = (exp / "RESULTS.md").read_text()
    assert "On a device" not in page and "no longer here: device_engine_int8_test (run stage 7 again)" in page
    assert "run stage 7 again" in capsys.readouterr().out


def test_a_damaged_device_json_leaves_what_is_there(on_device):
    exp, data, write = on_device
    main(["--exp", str(exp), "--data-dir", str(data)])
    left = ["RESULTS.md", "results.json", "decode_dense_test/score.json"]
    before = [(exp / name).read_bytes() for name in left]
    (exp / "decode_dense_test/text").write_text("u1 turn on the light\nu2 stop\n")  # of other figures
    write(rtf=None)
    with pytest.raises(UserError, match="device.json: 'rtf' cannot be None; run stage 7 again"):
        main(["--exp", str(exp), "--data-dir", str(data)])
    assert [(exp / name).read_bytes() for name in left] == before
