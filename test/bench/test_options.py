"""What is wrong with the options of a benchmark is a sentence, before anything is measured."""

import json
import sys

import numpy as np
import pytest
import soundfile
import torch

from dualmode.bench import lattice, soak, streams
from dualmode.bench.server import recording
from dualmode.bin.bench import main, module
from dualmode.errors import UserError

DEMO = "egs/mini/demo/"
SERVER = ["server", "--model", f"{DEMO}sparse.dmdl", "--audio", f"{DEMO}news.wav"]
SOAK = ["soak", *SERVER[1:]]
STREAMS = ["streams", "--model", f"{DEMO}sparse.dmdl"]


@pytest.fixture
def unmeasured(monkeypatch):
    """Fail the test if ``bench lattice`` measures."""
    monkeypatch.setattr(lattice, "measure", lambda args: pytest.fail("it measured"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["distractors", "--rounds", "0"], "--rounds: 0: expected a whole number of at least 1"),
        (["distractors", "--frames", "500", "0"], "--frames: 0: expected a whole number of at least 1"),
        (["lattice", "--utterances", "0"], "--utterances: 0: expected a whole number of at least 1"),
        (["lattice", "--vocabulary", "1"], "--vocabulary: 1: expected a whole number of at least 2"),
        (["lattice", "--utterance-s", "nan"], "--utterance-s: nan: expected a number of at least 0.5"),
        (["encoder", "--utterance-s", "0"], "--utterance-s: 0: expected a number of at least 0.5"),
        (["encoder", "--streams", "0"], "--streams: 0: expected a whole number of at least 1"),
        (["updates", "--utterance-s", "-3"], "--utterance-s: -3: expected a number of at least 0.5"),
        ([*STREAMS, "--streams", "0"], "--streams: 0: expected a whole number of at least 1"),
        ([*SERVER, "--seconds", "0"], "--seconds: 0: expected a number of at least 1"),
        ([*SERVER, "--seconds", "inf"], "--seconds: inf: expected a number of at least 1"),
        ([*SERVER, "--rounds", "0"], "--rounds: 0: expected a whole number of at least 1"),
        ([*SOAK, "--seconds", "nan"], "--seconds: nan: expected a number of at least 1"),
        ([*SOAK, "--clients", "0"], "--clients: 0: expected a whole number of at least 1"),
        ([*SOAK, "--faulty", "-1"], "--faulty: -1: expected a whole number of at least 0"),
        (["neighbour", "--neighbours", "-1"], "--neighbours: -1: expected a whole number of at least 0"),
        (
            ["confidence", "--model", DEMO, "--data", DEMO, "--utterances", "-3"],
            "--utterances: -3: expected a whole number of at least 0",
        ),
    ],
)
def test_a_number_that_measures_nothing_is_refused(words, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("threads", ["-1", "100000"])
def test_threads_are_bounded(unmeasured, threads):
    with pytest.raises(UserError, match=f"--threads {threads}: expected 0 to 1024"):
        main(["lattice", "--threads", threads])


@pytest.fixture
def threads_of_torch():
    """Bring back as many as there were."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("words", [SERVER, STREAMS, ["web", *SERVER[1:], "--onnx", DEMO, "--npm", DEMO]])
@pytest.mark.usefixtures("threads_of_torch")
def test_an_engine_of_one_thread_is_said_to_have_one(monkeypatch, capsys, words):
    monkeypatch.setattr(module(words[0]), "measure", lambda args: [])
    main([*words, "--threads", "2"])
    assert "\n1 CPU threads.\n" in capsys.readouterr().out


@pytest.mark.usefixtures("threads_of_torch")
def test_the_server_of_a_soak_has_as_many_threads_as_are_said(monkeypatch):
    def running(command, core):
        assert command[command.index("--threads") + 1] == "2"
        raise UserError("it would run")

    monkeypatch.setattr(soak, "running", running)
    with pytest.raises(UserError, match="it would run"):
        main([*SOAK, "--threads", "2"])


def test_what_a_process_of_streams_says_is_told():
    with pytest.raises(UserError, match=r"^\S*news.wav\b[^\n]*$"):
        main(["streams", "--model", f"{DEMO}news.wav", "--streams", "1"])


def test_a_process_of_streams_that_says_nothing_is_told(monkeypatch, tmp_path):
    (tmp_path / "python").write_text("#!/bin/sh\nexit 7\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(UserError, match="with --streams 3 ended with 7"):
        streams.memory_mb(tmp_path / "model", 3, True)


def test_what_is_no_audio_is_named(tmp_path):
    (tmp_path / "a.wav").write_text("text")
    with pytest.raises(UserError, match=r"a\.wav"):
        recording([tmp_path / "a.wav"], 0, 1)
    soundfile.write(tmp_path / "b.wav", np.zeros(1600), 16000)
    assert len(recording([tmp_path / "b.wav"], 0, 1)) == 16000


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (".", "--json .* is a folder: name a file"),
        ("page.md", "page.md would be its own page: name a file that ends in .json"),
        ("text/a.json", "a.json cannot be written"),
        ("link.json", "--json and the page of --json are the same file"),
    ],
)
def test_a_file_that_cannot_be_written_is_told_before(unmeasured, tmp_path, name, message):
    (tmp_path / "text").write_text("no folder")
    (tmp_path / "link.json").symlink_to("link.md")
    with pytest.raises(UserError, match=message):
        main(["lattice", "--json", str(tmp_path / name)])


def test_the_measurements_of_a_file_stay(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("kept")
    words = ["learning", "--data", str(tmp_path), "--rows", str(rows)]
    for option in ("--json", "--picture"):
        with pytest.raises(UserError, match=f"rows.jsonl is read here, and {option} would replace it"):
            main([*words, option, str(rows)])
    with pytest.raises(UserError, match="--json and --picture are the same file"):
        main([*words, "--json", str(tmp_path / "a.json"), "--picture", str(tmp_path / "a.json")])
    with pytest.raises(UserError, match="--rows .* is a folder"):
        main(["learning", "--data", str(tmp_path), "--rows", str(tmp_path)])
    assert rows.read_text() == "kept"


def test_a_delay_where_no_text_came_is_none(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(lattice, "measure", lambda args: [{"cells": 3, "cpu_ms": float("inf"), "peak_mb": 1.5}])
    main(["lattice", "--json", str(tmp_path / "a.json")])
    assert json.loads((tmp_path / "a.json").read_text()) == [{"cells": 3, "cpu_ms": None, "peak_mb": 1.5}]
    assert "| 3     | -         | -      | 1.5     | -          |" in capsys.readouterr().out
