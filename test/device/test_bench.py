"""The benchmark's rows, of an encoder as small as can be; what they measure is not tested."""

import argparse

import pytest
import torch

from dualmode.bench.device import COLUMNS, _model, add_options, measure
from dualmode.bin.bench import main
from dualmode.supernet.masked_linear import prunable
from dualmode_runtime import engine
from dualmode_runtime.build import LIBRARY


def test_every_engine_has_a_row(fresh_start, built, monkeypatch):
    load = engine.load_library
    monkeypatch.setattr(engine, "load_library", lambda: load(built / LIBRARY))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # without ONNX Runtime
    parser = argparse.ArgumentParser()
    add_options(parser)
    args = parser.parse_args(["--chunk-ms", "160", "--rounds", "2", "--sparsities", "0.5", "--blocks", "8x4", "units"])
    small = {"output_size": 32, "num_blocks": 1, "attention_heads": 2, "linear_units": 64, "subsampling_channels": 16}
    rows = measure(args, small)
    assert [(row["engine"], row["sparsity"], row["block"]) for row in rows] == [
        ("torch-fp32", 0.0, ""),
        ("dualmode-int8", 0.0, ""),
        ("dualmode-fp32", 0.0, ""),
        ("dualmode-int8", 0.5, "8x4"),
        ("dualmode-fp32", 0.5, "8x4"),
        ("dualmode-int8", 0.5, "units"),
        ("dualmode-fp32", 0.5, "units"),
    ]
    assert all(
        row["ms"] > 0 and row["bytes"] > 0 and row["chunk_ms"] == 160 and set(COLUMNS) <= set(row) for row in rows
    )
    assert rows[0]["linear_ms"] is None and rows[1]["linear_ms"] > 0
    assert max(rows[3]["bytes"], rows[5]["bytes"]) < rows[1]["bytes"] < rows[2]["bytes"]
    # No weight is left out where nothing is pruned: a byte each in int8, four in fp32, and little beside them.
    weights = sum(layer.weight.numel() for _, layer in prunable(_model(0.0, {}, small).encoder))
    assert all(layer.weight.all() for _, layer in prunable(_model(0.0, {}, small).encoder))
    assert rows[2]["bytes"] - rows[1]["bytes"] > 2.5 * weights


def test_the_page_says_one_thread_whatever_was_asked_for(monkeypatch, capsys):
    threads = torch.get_num_threads()
    monkeypatch.setattr("dualmode.bench.device.measure", lambda args: [])
    main(["device", "--threads", "2"])
    torch.set_num_threads(threads)
    assert "\n1 CPU threads.\n" in capsys.readouterr().out


def test_block_is_one_of_the_engine():
    parser = argparse.ArgumentParser()
    add_options(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--blocks", "3x3"])
