"""Clients in real time, and what is made of what they were told."""

import sys

import pytest

from dualmode.bench.load import DUALMODE, Heard, delays_ms, read_sherpa
from dualmode.bench.server import one_run, recording, wrong_utterances
from dualmode.bench.servers import PIECE, dualmode_server, first_dualmode, running
from dualmode.bin.bench import get_parser, module
from dualmode.errors import UserError
from dualmode.export.runtimes import PIECE as HUNDRED_MS
from dualmode_runtime.build import BUILT, LIBRARY
from dualmode_runtime.engine import EngineMissing, load_library

DEMO = "egs/mini/demo/"
FIRST = {(0, "go"): 1, (0, "go on"): 2, (1, "stop"): 5}


def test_delays_are_from_the_piece_that_made_a_text_possible():
    heard = Heard(sent=[0.0, 0.1, 0.2, 0.3, 0.4], told=[(0.15, 0, "go"), (0.9, 0, "go"), (0.25, 0, "gone")])
    assert delays_ms(heard, FIRST) == pytest.approx([50])
    heard.told += [(0.5, 0, "go on"), (0.9, 1, "stop")]  # the last one came before it could
    assert delays_ms(heard, FIRST) == pytest.approx([50, 300])


def test_lost_and_other_utterances():
    assert wrong_utterances(Heard(texts={0: "go on", 1: "stop"}), FIRST) == (0, 0)
    assert wrong_utterances(Heard(texts={0: "go", 1: "stop"}), FIRST) == (0, 1)
    assert wrong_utterances(Heard(texts={1: "stop"}), FIRST) == (1, 0)


def test_what_sherpa_onnx_says():
    assert read_sherpa('{"text": " go  on", "segment": 3}') == (3, "go on")
    assert read_sherpa('{"text": "", "segment": 3}') is None and read_sherpa("Done!") is None


@pytest.fixture
def can_serve():
    pytest.importorskip("uvicorn", reason="dualmode[server] is not installed: tools/setup.sh --with-server")
    try:
        load_library(BUILT / LIBRARY)
    except EngineMissing as error:
        pytest.skip(str(error))


@pytest.mark.slow
@pytest.mark.usefixtures("can_serve")
def test_a_server_is_measured():
    assert PIECE == HUNDRED_MS
    words = [
        "server",
        "--model",
        f"{DEMO}sparse.dmdl",
        "--audio",
        f"{DEMO}news.wav",
        "--streams",
        "3",
        "--seconds",
        "3",
    ]
    args = get_parser("server").parse_args(words)
    samples = recording(args.audio, 1, 3)
    first = first_dualmode(args.model, samples)
    assert len(samples) == 48000 and len({utterance for utterance, _ in first}) == 1
    args.core = None
    pieces = [samples[at : at + PIECE].tobytes() for at in range(0, len(samples), PIECE)]
    row = one_run(dualmode_server(args), DUALMODE, [first], [pieces], 3)
    assert row["lost"] == row["other"] == 0 and 0 < row["p50_ms"] <= row["p95_ms"] < 10_000
    assert row["cpu_percent"] > 0 and row["memory_mb"] > 10


@pytest.mark.slow
def test_a_soak(monkeypatch, can_serve):
    soak = module("soak")
    monkeypatch.setattr(soak, "LOOK_S", 0.5)
    words = ["soak", "--model", f"{DEMO}sparse.dmdl", "--audio", f"{DEMO}news.wav", f"{DEMO}temperature.wav"]
    [row] = soak.measure(get_parser("soak").parse_args([*words, "--seconds", "12", "--clients", "4"]))
    assert row["good_streams"] >= 4 and row["utterances"] > row["good_streams"] and row["lost"] == 0
    assert row["faulty"] > 5 and set(row) == set(soak.COLUMNS)


def test_why_a_server_did_not_start_is_told():
    ends = "import sys; sys.exit('error: this folder has no model')"
    with (
        running([sys.executable, "-c", ends], None) as one,
        pytest.raises(UserError, match=r"before it listened: error: this folder has no model$"),
    ):
        one.port()
    with running([sys.executable, "-c", "print('http://127.0.0.1:8123/')"], None) as one:
        assert one.port() == 8123
