import json

import pytest
import torch

from dualmode.bench.timing import interleaved, use_device
from dualmode.bin.bench import main, table
from dualmode.errors import UserError


def test_runs_take_turns_and_the_first_round_does_not_count():
    calls = []
    seconds = interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2)
    assert calls == ["a", "b"] * 3
    assert set(seconds) == {"a", "b"}


@pytest.mark.parametrize("bench", ["encoder", "updates", "learning"])
@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda:1", "the device is cuda:1, but PyTorch sees 1 GPUs on this machine"),
        ("foo", "the device is 'foo': it must be cpu, cuda, or one GPU such as cuda:1"),
    ],
)
def test_a_device_that_is_not_there_is_a_sentence(monkeypatch, tmp_path, bench, device, message):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    files = ["--data", str(tmp_path), "--rows", str(tmp_path / "rows.jsonl")] if bench == "learning" else []
    with pytest.raises(UserError, match=f"^{message}"):
        main([bench, *files, "--device", device])


def test_the_gpu_that_is_named_is_the_one_that_is_waited_for(monkeypatch):
    current = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    assert use_device("cpu") == torch.device("cpu") and current == []
    assert [use_device("cuda:1")] == current == [torch.device("cuda", 1)]


def test_table():
    rows = [{"what": "x", "ms": 12.3456}, {"what": "longer", "ratio": 1.0}]
    assert table(rows, ("what", "ms", "ratio")) == [
        "| what   | ms    | ratio |",
        "| ------ | ----- | ----- |",
        "| x      | 12.35 | -     |",
        "| longer | -     | 1     |",
    ]


def test_streaming_and_growth_are_measured(tmp_path, capsys):
    options = [
        "--sizes",
        "144x6",
        "--rounds",
        "1",
        "--minutes",
        "0.05",
        "--streams",
        "2",
        "--json",
        str(tmp_path / "bench.json"),
    ]
    main(["encoder", "--parts", "streaming", "growth", *options])
    rows = json.loads((tmp_path / "bench.json").read_text())
    assert [row["part"] for row in rows] == ["streaming", "streaming", "growth", "growth"]
    assert all(row["ms"] > 0 for row in rows)
    page = (tmp_path / "bench.md").read_text()
    assert "CPU threads" in page and "\ndualmode bench encoder --parts streaming growth" in page
    assert all(row["what"].endswith(", 1 thread") for row in rows[:2])  # the page's number is of the other parts
    assert "chunk by chunk, chunk 640 ms" in capsys.readouterr().out


def test_an_unknown_benchmark_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["nothing"])
    assert "invalid choice: 'nothing'" in capsys.readouterr().err


def test_the_price_of_both_branches_in_passes_of_espnet(tmp_path):
    pytest.importorskip("espnet2")
    out = tmp_path / "bench.json"
    command = ["encoder", "--parts", "training", "--sizes", "144x6", "--utterance-s", "1", "--rounds", "1"]
    main([*command, "--channels", "64", "0", "--json", str(out)])
    rows = json.loads(out.read_text())
    assert [(row["precision"], row["compiled"], row["size"], row["device"], row["channels"]) for row in rows] == [
        (precision, False, "144x6", "cpu", channels) for channels in (64, 144) for precision in ("fp32", "bf16")
    ]
    for row in rows:
        assert row["both_over_espnet"] == pytest.approx(row["both_ms"] / row["espnet_ms"])
        assert row["seconds"] == pytest.approx(row["both_ms"] / 1000) and row["sparse_ms"] > 0
        # 80 channels more: (9 + 1) * 80 weights, 9 * (144**2 - 64**2) + 80, and 19 bins * 80 * 144 of the Linear.
        ours = 3.123632 + (0.36952 if row["channels"] == 144 else 0)
        assert (row["espnet_m"], row["ours_m"]) == pytest.approx((3.609216, ours))  # of 144 channels
    assert rows[0]["both_gflop"] < rows[0]["espnet_gflop"] < rows[2]["both_gflop"]


def test_whole_updates_and_what_their_backward_passes_hold(tmp_path):
    pytest.importorskip("espnet2")
    out = tmp_path / "updates.json"
    main(["updates", "--utterance-s", "1", "--rounds", "1", "--json", str(out)])
    rows = {(row["what"], row["backward"]): row for row in json.loads(out.read_text())}
    assert len(rows) == 4
    for what in ("RNN-T and CTC", "pre-training"):
        joint, apart = rows[what, "joint"], rows[what, "apart"]
        assert joint["ratio"] == pytest.approx(joint["ms"] / joint["espnet_ms"])
        assert 0 < apart["held_mb"] < joint["held_mb"]
