"""Parts of a server without a network: bytes to utterances, threads, the second pass, back-pressure."""

import asyncio
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode.bin.serve import read_token
from dualmode.errors import UserError
from dualmode.server.guard import make_guard
from dualmode.server.hearing import Final, Hearing
from dualmode.server.limits import Limits
from dualmode.server.metrics import Metrics
from dualmode.server.models import open_served
from dualmode.server.pool import EnginePool
from dualmode.server.protocol import Hello
from dualmode.server.second_pass import Closed, SecondPass
from dualmode.server.stream import OUTBOX, Stream
from dualmode.server.stream_socket import _read as read_audio_of
from dualmode_runtime.audio.pauses import Piece

from .conftest import pcm, streamed


@settings(max_examples=10, deadline=None)
@given(data=st.data(), format=st.sampled_from(["s16le", "f32le"]))
def test_how_bytes_are_cut_changes_nothing(device_model, speech, data, format):
    hello = Hello(16000, format)
    samples = np.concatenate([np.zeros(800, np.float32), speech[0], np.zeros(24000, np.float32), speech[1]])
    raw = pcm(samples, format)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    hearing = Hearing(device_model.stream(), hello, keeps_audio=True)
    found = []
    for first, last in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        found += hearing.hear(raw[first:last])
    ended = [one for one in [*found, *hearing.finish()] if isinstance(one, Final)]
    heard = np.frombuffer(raw, "<i2") / np.float32(32768) if format == "s16le" else samples
    assert [one.text for one in ended] == streamed(device_model, heard) and len(ended) > 1
    for one in ended:  # its audio is that of its times
        first, last = (round(16 * ms) for ms in (one.start_ms, one.end_ms))
        assert one.piece.start_ms == one.start_ms and np.array_equal(one.piece.samples, heard[first:last])


def test_kept_audio_is_bounded(device_model):
    hearing = Hearing(device_model.stream(), Hello(16000), keeps_audio=True)
    noise = pcm(np.random.default_rng(0).uniform(-1e-3, 1e-3, 160000).astype(np.float32))
    for _ in range(12):
        hearing.hear(noise)
    assert len(hearing._kept) < 2 * 16000 * 45


def test_streams_have_their_turns():
    """A thread that has one stream's work has the others' before that stream's next."""

    async def run():
        pool, order = EnginePool(1, asyncio.get_running_loop()), []
        go = threading.Event()
        pool.run(go.wait, lambda *_: None)

        async def client(name: str):
            for _ in range(5):
                await pool.call(lambda: order.append(name))

        clients = [asyncio.ensure_future(client(name)) for name in "abc"]
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(*clients)
        with pytest.raises(ZeroDivisionError):
            await pool.call(lambda: 1 / 0)
        pool.close()
        return order

    assert "".join(asyncio.run(run())) == "abc" * 5


def piece(length: int) -> Piece:
    return Piece(np.zeros(length, np.float32), 0, length / 16, True)


def test_the_second_pass_takes_what_waits_together_and_no_more_than_it_may():
    async def run():
        go, batches = threading.Event(), []

        def recognise(pieces):
            go.wait()
            batches.append([len(one.samples) for one in pieces])
            if any(len(one.samples) == 13 for one in pieces):
                raise ValueError("thirteen")
            return [len(one.samples) for one in pieces]

        second = SecondPass(recognise, 3, asyncio.get_running_loop())
        first = second.offer(piece(1))
        while second.waiting:
            await asyncio.sleep(0.01)
        waiting = [second.offer(piece(length)) for length in (2, 3, 4)]
        assert second.offer(piece(5)) is None
        uploads = [asyncio.ensure_future(second.result(piece(length))) for length in (6, 7, 8, 9)]
        await asyncio.sleep(0.05)
        assert second.waiting == 3 and not first.done()
        waiting[1].cancel()
        go.set()
        assert await first == 1 and await waiting[0] == 2 and await waiting[2] == 4
        assert await asyncio.gather(*uploads) == [6, 7, 8, 9]
        with pytest.raises(ValueError):
            await second.result(piece(13))
        assert await second.result(piece(14)) == 14
        second.close()
        return batches

    batches = asyncio.run(run())
    assert batches[:2] == [[1], [2, 4]] and batches[-2:] == [[13], [14]]


def test_a_second_pass_that_is_closed_answers_at_once_whatever_it_is_at():
    async def run():
        go, begun = threading.Event(), threading.Event()

        def recognise(pieces):
            begun.set()
            go.wait()
            return [len(one.samples) for one in pieces]

        second = SecondPass(recognise, 1, asyncio.get_running_loop())
        at_work = asyncio.ensure_future(second.result(piece(1)))
        await asyncio.to_thread(begun.wait)
        waits, has_no_room = (asyncio.ensure_future(second.result(piece(length))) for length in (2, 3))
        await asyncio.sleep(0)
        assert second.waiting == 1
        second.close()
        found = await asyncio.gather(at_work, waits, has_no_room, second.result(piece(4)), return_exceptions=True)
        assert second.offer(piece(5)) is None and not second.ended(0)
        go.set()
        assert second.ended(60)
        return [type(one) for one in found]

    assert asyncio.run(run()) == [Closed] * 4


async def open_stream(device_model, send, limits: Limits, second_pass=None):
    pool = EnginePool(1, asyncio.get_running_loop())
    hello = Hello(16000)
    hearing = Hearing(device_model.stream(), hello, second_pass is not None)
    return pool, Stream(hearing, hello, send, pool, second_pass, limits, Metrics())


def test_audio_waits_while_a_client_reads_nothing(device_model, speech):
    async def run():
        async def send(text):
            await reads.wait()

        reads = asyncio.Event()
        pool, stream = await open_stream(device_model, send, Limits())
        sender = asyncio.ensure_future(stream.run_sender())
        for _ in range(2 * OUTBOX):
            stream.say("final")
        feed = asyncio.ensure_future(stream.feed(pcm(speech[0])))
        await asyncio.sleep(0.1)
        assert not feed.done() and not stream.take(b"")
        reads.set()
        await asyncio.wait_for(feed, 60)
        assert stream.take(b"")
        sender.cancel()
        pool.close()

    asyncio.run(run())


def test_messages_without_bytes_are_not_kept(device_model):
    async def run():
        pool, stream = await open_stream(device_model, None, Limits())
        assert all(stream.take(b"") for _ in range(100))
        pool.close()
        return stream._inbox

    assert asyncio.run(run()) == []


def test_faults_are_in_the_log(device_model, speech, caplog):
    """The client is told that there was one, and no more."""

    async def run():
        sent = []

        async def send(text):
            sent.append(text)

        def recognise(pieces):
            raise RuntimeError("of the dense sub-network")

        def hear(data):
            raise RuntimeError("of the engine")

        second = SecondPass(recognise, 8, asyncio.get_running_loop())
        pool, stream = await open_stream(device_model, send, Limits(), second)
        sender = asyncio.ensure_future(stream.run_sender())
        await stream.feed(pcm(np.concatenate([speech[1], np.zeros(24000, np.float32)])))
        while not any('"second_pass"' in text for text in sent):
            await asyncio.sleep(0.01)
        stream._hearing.hear = hear
        await stream.feed(bytes(32000))
        await asyncio.wait_for(stream.over, 60)
        await asyncio.wait_for(stream.finish(1), 60)
        sender.cancel()
        second.close()
        pool.close()
        return sent

    sent = asyncio.run(asyncio.wait_for(run(), 60))
    assert "the server failed to hear this audio: its log says why" in sent[-2] and '"error"' in sent[-1]
    assert "RuntimeError: of the dense sub-network" in caplog.text and "RuntimeError: of the engine" in caplog.text
    assert not any("RuntimeError" in text or "of the" in text for text in sent)


def test_a_fault_at_the_end_of_a_stream_is_told_and_in_the_log(device_model, caplog):
    """Not taken for a client that has gone, as a RuntimeError of its socket is."""

    async def run():
        sent = []

        async def send(text):
            sent.append(text)

        def finish():
            raise RuntimeError("of the engine")

        pool, stream = await open_stream(device_model, send, Limits())
        sender = asyncio.ensure_future(stream.run_sender())
        stream._hearing.finish = finish
        stream.end("finished")
        await asyncio.wait_for(stream.finish(1), 60)
        sender.cancel()
        pool.close()
        return sent, stream.reason

    sent, reason = asyncio.run(asyncio.wait_for(run(), 60))
    assert reason == "error" and "the server failed to hear this audio: its log says why" in sent[-2]
    assert "RuntimeError: of the engine" in caplog.text and '"end"' in sent[-1]


def test_a_fault_while_audio_is_taken_is_no_client_that_has_gone(device_model, caplog):
    class Socket:
        async def receive(self):
            return {"type": "websocket.receive", "bytes": bytes(2)}

    async def feed(data):
        raise RuntimeError("of ours")

    async def run():
        pool, stream = await open_stream(device_model, None, Limits())
        stream.feed = feed
        await asyncio.wait_for(read_audio_of(Socket(), stream, 60), 60)
        pool.close()
        return stream.over.result(), stream.error

    assert asyncio.run(run()) == ("error", "the server failed to hear this audio: its log says why")
    assert "RuntimeError: of ours" in caplog.text


def test_what_is_at_work_when_time_is_up_is_told(device_model):
    """A transcription that never ends: behind twice stop_s it is refused, and the server ends."""
    uvicorn = pytest.importorskip("uvicorn", reason="dualmode[server] is not installed")
    from dualmode.server.run import Server
    from dualmode.server.state import start

    async def run():
        served = SimpleNamespace(dense=None)
        state = start(served, Limits(stop_s=1), make_guard("127.0.0.1", None, [], []), 1)
        server = Server(uvicorn.Config(None), lambda: state, state.limits, print)
        server._loop = asyncio.get_running_loop()
        state.requests = 1
        end = asyncio.ensure_future(server._let_clients_end())
        began = time.monotonic()
        await asyncio.wait_for(end, 60)
        assert state.stopping and time.monotonic() - began >= 2
        assert state.late and server.should_exit
        state.close()

    asyncio.run(run())


def test_a_stream_does_not_run_ahead_of_its_engine(device_model):
    async def run():
        async def send(text):
            pass

        go = threading.Event()
        pool, stream = await open_stream(device_model, send, replace(Limits(), max_backlog_ms=1000))
        pool.run(go.wait, lambda *_: None)
        feeds = [asyncio.ensure_future(stream.feed(bytes(32000))) for _ in range(4)]
        await asyncio.sleep(0.1)
        assert [feed.done() for feed in feeds] == [True, True, True, False]  # a second is the engine's, one may wait
        go.set()
        await asyncio.wait_for(asyncio.gather(*feeds), 60)
        pool.close()

    asyncio.run(run())


def test_a_newer_partial_text_takes_the_place_of_one_that_was_not_sent(device_model):
    async def run():
        sent = []

        async def send(text):
            sent.append(text)

        pool, stream = await open_stream(device_model, send, Limits())
        for text in ("a", "a b"):
            stream.say("partial", text=text)
        stream.say("final", text="a b c")
        stream.say("partial", text="d")
        sender = asyncio.ensure_future(stream.run_sender())
        await asyncio.sleep(0.05)
        sender.cancel()
        pool.close()
        return sent

    texts = asyncio.run(run())
    assert [text.split('"text":')[1] for text in texts] == ['"a b"}', '"a b c"}', '"d"}']


def test_streams_go_on_where_the_second_pass_is_behind(device_model, speech):
    async def run():
        go, sent = threading.Event(), []

        async def send(text):
            sent.append(text)

        def recognise(pieces):
            go.wait()
            raise ValueError

        second = SecondPass(recognise, 1, asyncio.get_running_loop())
        pool, stream = await open_stream(device_model, send, Limits(), second)
        sender = asyncio.ensure_future(stream.run_sender())
        spoken = pcm(np.concatenate([speech[1], np.zeros(24000, np.float32)]))
        for _ in range(4):
            await stream.feed(spoken)
        stream.end("finished")
        finish = asyncio.ensure_future(stream.finish(0.5))
        await asyncio.wait_for(finish, 60)
        go.set()
        for task in (sender,):
            task.cancel()
        stream.drop()
        second.close()
        pool.close()
        return sent

    sent = asyncio.run(run())
    assert sum('"final"' in text for text in sent) == 4
    assert sum('"second_pass"' in text and "too much to do" in text for text in sent) >= 2
    assert sum("no time" in text for text in sent) >= 1


def test_limits_are_checked():
    with pytest.raises(UserError, match="--max-clients is 0: it must be at least 1"):
        Limits(max_clients=0)


def test_what_does_not_stream_is_refused_by_options_that_there_are(ctc_dir):
    with pytest.raises(
        UserError, match="the dense sub-network does not stream: .* --subnet sparse, or .* --device-model$"
    ):
        open_served(ctc_dir, subnet="dense")


def test_blanks_around_a_token_are_no_part_of_it(tmp_path, monkeypatch):
    (tmp_path / "token").write_text(" 0123456789abcdef \n")
    monkeypatch.setenv("DUALMODE_TOKEN", " 0123456789abcdef \n")
    assert read_token(tmp_path / "token") == read_token(None) == "0123456789abcdef"
    monkeypatch.delenv("DUALMODE_TOKEN")
    assert read_token(None) is None


def test_beyond_this_machine_a_token_is_needed():
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.org"):
        with pytest.raises(UserError, match="needs a token"):
            make_guard(host, None, [], [])
        assert make_guard(host, "0123456789abcdef", [], []).knows("0123456789abcdef")
    for token in ("", "short", "a" * 15 + "\n", "ä" * 20):
        with pytest.raises(UserError, match="16 or more plain characters"):
            make_guard("127.0.0.1", token, [], [])
    assert make_guard("127.0.0.1", None, [], []).knows(None)


@pytest.mark.parametrize("name", ["", "a:8800", "*", "*.example", "https://a", "a/", "[::1]", "a b"])
def test_names_that_no_request_has_are_refused(name):
    with pytest.raises(UserError, match="a name alone"):
        make_guard("127.0.0.1", None, [name], [])


@pytest.mark.parametrize(
    "origin", ["", "*", "a.example", "https://A.example", "https://a/", "https://a/b", "https://u@a"]
)
def test_origins_that_no_browser_sends_are_refused(origin):
    with pytest.raises(UserError, match="as browsers send it"):
        make_guard("127.0.0.1", None, [], [origin])
    for right in ("http://localhost:3000", "chrome-extension://abcdef", "http://[::1]:80"):
        assert right in make_guard("127.0.0.1", None, [], [right]).origins


def test_hosts_and_origins():
    guard = make_guard("127.0.0.1", None, ["Speech.Example"], ["https://app.example"])
    ours = ["127.0.0.1:8800", "[::1]:8800", "192.168.1.7", "localhost", "LOCALHOST:1", "speech.example:443"]
    assert [guard.refusal({"host": host}) for host in ours] == [None] * len(ours)
    for host in ("", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8800", "[", "a@evil.example"):
        assert guard.refusal({"host": host}) == "host"
    for origin in ("https://app.example", "http://localhost:8800", "https://localhost:8800"):
        assert guard.refusal({"host": "localhost:8800", "origin": origin}) is None
    for origin in (
        "null",
        "",
        "http://localhost",
        "http://localhost:8801",
        "file://localhost:8800",
        "https://evil",
        "http://[",
    ):
        assert guard.refusal({"host": "localhost:8800", "origin": origin}) == "origin"
