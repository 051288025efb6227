"""The Python API of device files: files, samples and streams hear the same."""

import threading
import time

import numpy as np
import pytest
import soundfile

from dualmode_runtime import Recognizer
from dualmode_runtime.audio.pauses import pieces
from dualmode_runtime.audio.resample import NARROW
from dualmode_runtime.endpoint import Endpoint, Endpointing
from dualmode_runtime.engine import Device
from dualmode_runtime.errors import UserError
from dualmode_runtime.subnet import Context, Subnet


@pytest.fixture
def recognizer(compiled, demo) -> Recognizer:
    return Recognizer.open(demo / "sparse.dmdl")


def times(words) -> list[tuple]:
    return [(word.text, word.start_ms, word.end_ms, word.stable_ms) for word in words]


def test_files_samples_and_streams_are_the_same(recognizer, demo, texts):
    assert recognizer.subnet == Subnet(0.7, Context(16, 32))
    for name, text in texts.items():
        samples, rate = soundfile.read(demo / f"{name}.wav", dtype="int16")
        device = Device.open(demo / "sparse.dmdl")
        device.accept_samples(samples, rate)
        device.finish()
        stream, partial = recognizer.stream(), ""
        for piece in np.array_split(samples, 9):
            assert stream.accept_waveform(piece, rate) == []
            assert stream.partial().text.startswith(partial)
            partial = stream.partial().text.rpartition(" ")[0]
        results = [recognizer.transcribe(demo / f"{name}.wav"), recognizer.transcribe(samples, rate), stream.result()]
        for result in results:
            assert result.text == text == device.text
            assert [time[:3] for time in times(result.words)] == [time[:3] for time in times(device.words)]
            assert result.best.subnet == recognizer.subnet
        assert times(results[0].words) == times(results[1].words)
        assert results[2].start_ms == 0 and stream.result().text == ""  # what comes then is new audio


def test_no_samples_leave_the_rate_open(recognizer, demo, texts):
    stream = recognizer.stream()
    stream.accept_waveform(np.zeros(0, np.float32), 8000)
    stream.accept_waveform(*soundfile.read(demo / "temperature.wav", dtype="float32"))
    assert stream.result().text == texts["temperature"]


def test_streams_share_the_weights_and_nothing_else(recognizer, demo, texts):
    heard = {}

    def listen(name):
        stream = recognizer.stream()
        samples, rate = soundfile.read(demo / f"{name}.wav", dtype="float32")
        for piece in np.array_split(samples, 20):
            stream.accept_waveform(piece, rate)
        heard[name] = stream.result().text

    threads = [threading.Thread(target=listen, args=[name]) for name in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == texts


def test_threads_never_meet_in_one_stream_of_the_engine(recognizer, demo, texts, monkeypatch):
    """Two in one would break its memory; each call of transcribe has its own, and those who share one take turns."""
    samples, rate = soundfile.read(demo / "news.wav", dtype="float32")
    accept, words, busy, met, heard = Device.accept_samples, Device.words.fget, set(), [], []

    def watched_accept(device, *args):
        if device in busy:
            met.append(device)
            return  # rather than to break it
        busy.add(device)
        time.sleep(0.02)
        accept(device, *args)
        busy.remove(device)

    def watched_words(device):
        if device in busy:
            met.append(device)
            return []
        return words(device)

    monkeypatch.setattr(Device, "accept_samples", watched_accept)
    monkeypatch.setattr(Device, "words", property(watched_words))
    shared = recognizer.stream()
    work = [
        lambda: heard.append(recognizer.transcribe(samples, rate).text),
        lambda: heard.append(recognizer.transcribe(samples, rate).text),
        lambda: shared.accept_waveform(samples, rate),
        lambda: [(shared.partial(), time.sleep(0.002)) for _ in range(30)],
        lambda: (time.sleep(0.005), shared.result()),
    ]
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not met and heard == [texts["news"]] * 2


def test_a_rate_that_is_not_16_khz_is_said_once(recognizer, capsys):
    stream, silence = recognizer.stream(), np.zeros(800, np.int16)
    stream.accept_waveform(silence, 16000)
    stream.result()
    assert capsys.readouterr().err == ""
    for _ in range(2):  # two recordings
        for _ in range(3):
            stream.accept_waveform(silence, 8000)
        stream.result()
    assert capsys.readouterr().err == f"audio of 8000 Hz is resampled to 16000 Hz; it {NARROW}\n"


@pytest.mark.parametrize("rate", [2**32 + 16000, 16000.5, "16000", float("nan"), None, True, 3999])
def test_an_impossible_rate_is_one_sentence(recognizer, rate):
    with pytest.raises(UserError, match="^the sample rate is .*: it must be a whole number of Hz from 4000 to 384000"):
        recognizer.stream().accept_waveform(np.zeros(100, np.float32), rate)


def test_integers_of_either_byte_order_are_the_same(recognizer, demo, texts):
    samples, rate = soundfile.read(demo / "news.wav", dtype="int16")
    assert recognizer.transcribe(samples.astype(">i2"), rate).text == texts["news"]


def test_utterances_end_by_themselves(recognizer, demo, texts):
    stream, found, parts = recognizer.stream(Endpointing(silence_ms=600)), [], []
    for name in texts:
        samples, rate = soundfile.read(demo / f"{name}.wav", dtype="float32")
        parts += [samples, np.zeros(2 * rate, np.float32)]
    for piece in np.array_split(np.concatenate(parts), 50):
        found += stream.accept_waveform(piece, rate)
    last = stream.result()
    # The second one is heard in the middle of a chunk, and need not be what it is by itself.
    assert [result.text for result in found][0] == texts["temperature"] and len(found) == 2 and not last.words
    assert {result.endpoint for result in found} == {Endpoint.SILENCE} and last.endpoint is None
    assert found[0].start_ms == 0 < found[0].end_ms <= found[1].words[0].start_ms
    assert found[1].to_dict()["endpoint"] == "silence"


def test_long_recordings_are_cut_in_their_pauses(recognizer, demo, texts):
    parts = []
    for name in texts:
        samples, rate = soundfile.read(demo / f"{name}.wav", dtype="float32")
        parts += [np.zeros(rate, np.float32), samples, np.zeros(rate, np.float32)]
    samples = np.concatenate(parts)
    cut = list(pieces([samples], 5000))
    alone = [recognizer.transcribe(piece.samples, rate) for piece in cut]
    result = recognizer.transcribe(samples, rate, max_utterance_ms=5000)
    assert len(cut) > 1 and result.text == " ".join(one.text for one in alone)
    assert [one.score for one in (*alone[0].best.nbest, *result.best.nbest)] == [None, None]  # an engine tells none
    expected = [piece.start_ms + word.start_ms for piece, one in zip(cut, alone, strict=True) for word in one.words]
    assert [word.start_ms for word in result.words] == expected and result.end_ms == 1000 * len(samples) / rate
    whole = list(pieces([samples], float("inf")))
    assert len(whole) == 1 and len(whole[0].samples) == len(samples)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"channel": 0}, "has 1 channels, and no channel 0"),
        ({"channel": 2}, "has 1 channels, and no channel 2"),
        ({"max_utterance_ms": 999}, "max_utterance_ms is 999: it must be at least 1000"),
        ({"max_utterance_ms": float("nan")}, "max_utterance_ms is nan: it must be at least 1000"),
    ],
)
def test_impossible_options_are_one_sentence(recognizer, demo, options, says):
    with pytest.raises(UserError, match=says):
        recognizer.transcribe(demo / "news.wav", **options)


def test_mistakes_are_one_sentence(recognizer, tmp_path, compiled):
    with pytest.raises(UserError, match="needs the sample rate"):
        recognizer.transcribe(np.zeros(100, np.float32))
    with pytest.raises(UserError, match="samples have one channel, and no channel 2"):
        recognizer.transcribe(np.zeros(100, np.float32), 16000, channel=2)
    with pytest.raises(UserError, match="there is no file"):
        recognizer.transcribe(tmp_path / "gone.wav")
    with pytest.raises(UserError, match="gone.dmdl"):
        Recognizer.open(tmp_path / "gone.dmdl")
    stream = recognizer.stream()
    stream.accept_waveform(np.zeros(100, np.int16), 16000)
    with pytest.raises(UserError, match=r"changes from 16000 to 8000 Hz: call result\(\) before"):
        stream.accept_waveform(np.zeros(100, np.int16), 8000)
