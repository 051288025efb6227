"""asr_stream from files and pipes."""

import io
import json
import subprocess
import sys
import types

import numpy as np
import pytest
import soundfile

from dualmode.bin.asr_stream import main
from dualmode.decoding.growing import Printer
from dualmode.decoding.live import pcm_pieces
from dualmode.errors import UserError
from dualmode.recognizer import Recognizer, Result, Transcript
from dualmode.supernet.subnet import DENSE
from dualmode_runtime.audio.reading import read_audio
from dualmode_runtime.words import Word


@pytest.fixture
def wav(tmp_path):
    path = tmp_path / "noise.wav"
    random = np.random.default_rng(0)
    loudness = np.repeat(random.uniform(0.001, 0.3, 20), 1600)
    soundfile.write(path, (loudness * random.standard_normal(32000)).clip(-1, 1), 16000, subtype="PCM_16")
    return path


def expected(model_dir, wav) -> str:
    recognizer = Recognizer.from_pretrained(model_dir)
    recognizer.accept_waveform(read_audio(wav, 16000), 16000)
    return recognizer.result().text


def test_the_transcript_of_a_file_grows(model_dir, wav, capsys):
    main([str(model_dir), str(wav), "--words", "--silence-ms", "5000"])
    lines = capsys.readouterr().out.splitlines()
    text = expected(model_dir, wav)
    assert f"0.00-2.00 s: {text}" in lines
    assert sum(" s ... " in line for line in lines) > 2
    assert sum("begins at" in line for line in lines) == len(text.split())


def test_raw_pcm_gives_the_same_as_the_file(model_dir, wav, capsys, monkeypatch):
    pcm = io.BytesIO(soundfile.read(wav, dtype="int16")[0].tobytes())
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=pcm))
    main([str(model_dir), "-", "--rate", "16000", "--silence-ms", "5000"])
    assert capsys.readouterr().out.splitlines()[-1] == f"0.00-2.00 s: {expected(model_dir, wav)}"


def test_json_lines_are_what_the_recogniser_says(model_dir, wav, capsys):
    main([str(model_dir), str(wav), "--format", "jsonl", "--silence-ms", "5000"])
    *partials, last = map(json.loads, capsys.readouterr().out.splitlines())
    recognizer = Recognizer.from_pretrained(model_dir)
    recognizer.accept_waveform(read_audio(wav, 16000), 16000)
    expected = recognizer.result().to_dict()
    for found in (last, expected):
        found.pop("latency_ms")
    assert last == {"type": "final", "utterance": 0, **json.loads(json.dumps(expected))}
    assert len(partials) > 2 and all(set(one) == {"type", "utterance", "text", "heard_ms"} for one in partials)
    heard = [one["heard_ms"] for one in partials]
    assert heard == sorted(heard) and {one["type"] for one in partials} == {"partial"}


def test_utterances_are_numbered(model_dir, wav, capsys):
    main([str(model_dir), str(wav), "--format", "jsonl", "--max-utterance-ms", "640"])
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    finals = [one for one in found if one["type"] == "final"]
    assert [one["utterance"] for one in finals] == list(range(len(finals))) and len(finals) > 2
    assert all(one["utterance"] == sum(o["type"] == "final" for o in found[:n]) for n, one in enumerate(found))


@pytest.mark.parametrize("channel", ["1", "2", "mix"])
def test_any_recording_that_transcribe_reads(model_dir, wav, tmp_path, capsys, channel):
    """Another rate, and a channel of two: as the recogniser hears these samples."""
    samples = soundfile.read(wav, dtype="float32")[0]
    both = np.stack([samples, 0.5 * samples[::-1]], axis=1)
    soundfile.write(tmp_path / "both.flac", both, 8000)
    main([str(model_dir), str(tmp_path / "both.flac"), "--channel", channel, "--silence-ms", "5000"])
    said = capsys.readouterr()
    both = soundfile.read(tmp_path / "both.flac", dtype="float32", always_2d=True)[0]
    recognizer = Recognizer.from_pretrained(model_dir)
    recognizer.accept_waveform(both.mean(axis=1) if channel == "mix" else both[:, int(channel) - 1], 8000)
    assert said.out.splitlines()[-1] == f"0.00-4.00 s: {recognizer.result().text}"
    assert ("2 channels, mixed to one" in said.err) == (channel == "mix")


def test_a_bad_file_is_refused_before_torch_is_loaded(model_dir, tmp_path):
    (tmp_path / "bad.wav").write_text("no audio")
    words = [str(model_dir), str(tmp_path / "bad.wav")]
    code = f"""
import sys
from dualmode.bin.asr_stream import main
try:
    main({words})
except Exception as error:
    print("bad.wav" in str(error), "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True False\n"


def test_both_passes_are_printed_with_their_latencies(model_dir, wav, capsys):
    main([str(model_dir), str(wav), "--second-pass", "--silence-ms", "5000"])
    first, second = capsys.readouterr().out.splitlines()[-2:]
    assert first.startswith("0.00-2.00 s, first pass after ") and second.startswith("0.00-2.00 s, second pass after ")


def test_pcm_comes_in_any_pieces():
    class Dribble(io.BytesIO):
        def read1(self, size):
            return super().read1(min(size, 3))

    samples = np.arange(-5, 6, dtype=np.int16)
    heard = np.concatenate(list(pcm_pieces(Dribble(samples.tobytes() + b"x"), 16000)))
    assert heard.tolist() == samples.tolist()
    short = samples[:3].tobytes()
    assert np.concatenate(list(pcm_pieces(Dribble(short), 16000))).tolist() == samples[:3].tolist()
    with pytest.raises(UserError, match="standard input is empty"):
        list(pcm_pieces(Dribble(b""), 16000))


def test_a_wav_header_is_not_heard_as_samples(wav):
    with pytest.raises(UserError, match="^standard input is a WAV file, .*: name the file instead of -"):
        list(pcm_pieces(io.BytesIO(wav.read_bytes()), 16000))
    for kind, begins in (("FLAC", b"fLaC"), ("OGG", b"OggS"), ("MP3", b"ID3"), ("RF64", b"RF64"), ("W64", b"riff")):
        with pytest.raises(UserError, match=f"^standard input is a {kind} file"):
            list(pcm_pieces(io.BytesIO(begins + bytes(100)), 16000))


def test_a_folder_is_for_transcribe(model_dir, tmp_path):
    with pytest.raises(UserError, match="is a folder, and stream takes one file: dualmode transcribe reads folders$"):
        main([str(model_dir), str(tmp_path)])


def test_on_a_terminal_the_line_grows_in_place():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    out = Terminal()
    printer = Printer(out, words=False)
    printer.partial("zero", 1000)
    printer.partial("zero", 1100)
    printer.finished(Result(0, 1500, Transcript((Word("zero", 40, 1500),), DENSE)))
    assert out.getvalue() == "\rzero\x1b[K\r\x1b[K0.00-1.50 s: zero\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "give either an audio file"),
        (["a.wav", "--microphone"], "give either an audio file"),
        (["gone.wav"], "there is no file gone.wav"),
        (["-", "--rate", "0"], "--rate 0: it must be from 4000 to 384000 Hz, such as 16000"),
        (["-", "--rate", "999999999999"], "--rate 999999999999: it must be from 4000 to 384000 Hz"),
        (["--microphone", "--rate", "3999"], "--rate 3999: it must be from 4000 to 384000 Hz"),
        (["-", "--subnet", "dense"], "endpointing needs a streaming"),
        (["-", "--silence-ms", "-1"], "silence_ms is -1"),
        (["-", "--beam-size", "0"], "beam_size is 0"),
        (["-", "--channel", "left"], "--channel is 'left'"),
        (["-", "--channel", "2"], "--channel 2: standard input and a microphone have one channel"),
        (["--microphone", "--channel", "2"], "--channel 2: standard input and a microphone have one channel"),
        (["a.wav", "--rate", "8000"], "--rate is of samples without a header, and of a microphone: a.wav says its own"),
        (["-", "--words", "--format", "jsonl"], "--words goes with --format text"),
    ],
)
def test_wrong_options_are_one_sentence(model_dir, options, words):
    with pytest.raises(UserError, match=words):
        main([str(model_dir), *options])


def test_without_its_package_a_microphone_is_one_sentence(model_dir, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(UserError, match="a microphone needs the package sounddevice"):
        main([str(model_dir), "--microphone"])


@pytest.mark.parametrize("ms", ["1", "499", "nan"])
def test_the_longest_utterance_has_room_for_a_word(model_dir, wav, ms):
    with pytest.raises(UserError, match=f"--max-utterance-ms is {ms}: it must be at least 500"):
        main([str(model_dir), str(wav), "--max-utterance-ms", ms])
