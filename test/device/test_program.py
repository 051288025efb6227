"""The program with several channels, other rates, and standard input."""

import io
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dualmode_runtime.audio.containers import length_fault
from dualmode_runtime.build import PROGRAM
from dualmode_runtime.engine import Device

RATE = 16000
DEMO = Path(__file__).parents[2] / "egs" / "mini" / "demo"
NOT_HERE = "cannot be resampled to 16000 Hz here: expected 4000 to 384000 Hz, a multiple of 25, 32 or 40"


@pytest.fixture
def files(tmp_path):
    """A folder with a model that knows speech."""
    (tmp_path / "model.dmdl").write_bytes((DEMO / "sparse.dmdl").read_bytes())
    return tmp_path


def speech(name="temperature"):
    return soundfile.read(DEMO / f"{name}.wav", dtype="int16")[0]


@pytest.fixture
def hear(files, library):
    """The text of samples at a rate, by the library."""

    def text(samples, rate=RATE):
        device = Device.open(files / "model.dmdl", library=library)
        device.accept_samples(samples, rate)
        device.finish()
        return device.text

    return text


@pytest.fixture
def pipe(built, files):
    """Runs dualmode-device with bytes on its standard input."""

    def run(data, *options):
        command = [built / PROGRAM, *options, files / "model.dmdl", "-"]
        return subprocess.run(command, input=data, capture_output=True, timeout=60)

    return run


def lines(text, name="-"):
    return f"{name} {text}\n".encode()


def test_a_channel_is_chosen_or_all_are_mixed(files, program, hear):
    one, other, path = speech(), speech("news"), files / "two.wav"
    both = np.stack([one, np.pad(other, (0, len(one) - len(other)))], axis=1)
    soundfile.write(path, both, RATE)
    floats = both.astype(np.float32) / 32768
    expected = {"1": hear(both[:, 0]), "2": hear(both[:, 1]), "mix": hear((floats[:, 0] + floats[:, 1]) / 2)}
    assert len(set(expected.values())) == 3
    for channel, text in expected.items():
        assert program("--channel", channel, files / "model.dmdl", path).stdout == f"{path} {text}\n"
    result = program("--channel", "3", files / "model.dmdl", path)
    assert (result.returncode, result.stderr) == (2, f"error: {path}: it has no channel 3, only 2\n")
    for nonsense in ("0", "-1", "left", ""):
        assert program("--channel", nonsense, files / "model.dmdl", path).stderr.startswith(
            f"error: --channel {nonsense}: it must be a number from 1 on, or mix"
        )


def test_other_rates_are_resampled_and_it_is_said(files, program, hear):
    for rate, more in ((8000, "; it lacks the high tones"), (44100, "\n")):
        path, samples = files / f"{rate}.wav", speech()
        soundfile.write(path, samples, rate)
        result = program(files / "model.dmdl", path)
        assert result.stdout == f"{path} {hear(samples, rate)}\n"
        assert result.stderr.startswith(f"{path}: audio of {rate} Hz is resampled to 16000 Hz{more}")


def test_standard_input_is_raw_samples_or_wav(files, pipe, hear):
    samples, path = speech(), files / "a.wav"
    assert pipe(samples.tobytes()).stdout == lines(hear(samples))
    assert pipe(samples.tobytes(), "--rate", "48000").stdout == lines(hear(samples, 48000))
    soundfile.write(path, samples, RATE)
    wav = path.read_bytes()
    assert pipe(wav).stdout == lines(hear(samples))
    endless = wav.replace(b"data" + len(samples.tobytes()).to_bytes(4, "little"), b"data\xff\xff\xff\xff")
    assert endless != wav and pipe(endless).stdout == lines(hear(samples))
    cut = pipe(wav[:-100])
    assert cut.returncode == 2 and cut.stderr == b"error: -: it is cut off: its last 100 bytes are missing\n"
    for nothing in (b"", b"RIFF", wav[:30]):
        assert pipe(nothing).stderr == b"error: -: it has no samples\n"
    assert pipe(samples.tobytes(), "--rate", "16001").returncode == 2


@pytest.mark.parametrize(
    ("container", "kind"),
    [("RF64", "RF64"), ("W64", "W64"), ("FLAC", "FLAC"), ("OGG", "Ogg"), ("AIFF", "AIFF"), ("AU", "AU"), ("CAF", "CAF")]
    + [("NIST", "NIST SPHERE"), ("MP3", "MP3")],
)
def test_files_on_standard_input_are_not_heard_as_samples(pipe, container, kind):
    memory = io.BytesIO()
    soundfile.write(memory, speech(), RATE, format=container)
    data = memory.getvalue()
    for whole in (data, data[data.index(b"\xff") :]) if container == "MP3" else (data,):  # without its tags, too
        result = pipe(whole)
        assert (result.returncode, result.stdout) == (2, b"")
        assert result.stderr.startswith(f"error: -: it is a file of the kind {kind}: send WAV, or 16-bit".encode())
    result = pipe(b"\xff\xf3\x84\xc4" + speech().tobytes())  # samples that begin as a frame of MPEG would
    assert (result.returncode, result.stderr) == (0, b"")


def test_a_wav_file_is_answered_before_the_pipe_is_closed(built, files, hear):
    command = [built / PROGRAM, files / "model.dmdl", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(wav(speech()))
        process.stdin.flush()
        assert process.stdout.readline() == lines(hear(speech()))
        process.stdin.close()
    assert process.returncode == 0


def test_pieces_of_standard_input_change_nothing(built, files, hear):
    data = wav(speech())
    command = [built / PROGRAM, files / "model.dmdl", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for start in range(0, len(data), 501):  # also in the middle of the header and of samples
            process.stdin.write(data[start : start + 501])
            process.stdin.flush()
        assert process.communicate()[0] == lines(hear(speech()))


def wav(samples, stated=None, behind=b""):
    """A WAV file whose header states another number of bytes, and what lies behind its samples."""
    memory = io.BytesIO()
    soundfile.write(memory, samples, RATE, format="WAV", subtype="PCM_16")
    data, size = memory.getvalue(), 2 * len(samples)
    stated = (size if stated is None else stated).to_bytes(4, "little")
    return data.replace(b"data" + size.to_bytes(4, "little"), b"data" + stated) + behind


CHUNK = b"LIST\x04\0\0\0INFO"
WHOLE = {
    "chunks": CHUNK + b"odd \x01\0\0\0x\0" + CHUNK,
    "no padding": b"odd \x01\0\0\0x" + CHUNK,
    "zeros": CHUNK + bytes(5000),
    "less than a chunk": b"LIST\x04\0\0",
    "no more samples": b"data\0\0\0\0" + CHUNK,
}
STRAY = {
    "audio": bytes(range(1, 101)),
    "audio behind a chunk": CHUNK + bytes(range(1, 101)),
    "audio behind zeros": bytes(4000) + b"\x01",
    "part of a chunk": CHUNK + b"LIST\x08\0\0\0INFO",
    "more samples": CHUNK + b"data\x04\0\0\0\1\0\2\0",
}


def test_audio_that_a_header_does_not_count_is_not_left_out(files, program, pipe, hear):
    """By the rule of dualmode_runtime/audio/containers.py."""
    samples, silent = speech(), np.zeros(800, np.int16)
    odd = wav(silent, 1599)[:-1]
    good = {name: wav(samples, behind=behind) for name, behind in WHOLE.items()} | {"open": wav(samples, 0xFFFFFFFF)}
    bad = {name: wav(samples, behind=behind) for name, behind in STRAY.items()}
    bad |= {"no bytes": wav(samples, 0), "fewer bytes": wav(samples, 20000), "an odd end": odd + b"\0" + b"\x01" * 9}
    silence = {"padded": odd + b"\0" + CHUNK, "not padded": odd + CHUNK, "nothing behind": odd}
    paths = {}
    for name, data in (good | bad | silence).items():
        paths[name] = files / f"{name}.wav"
        paths[name].write_bytes(data)
    faults = {name: length_fault(io.BytesIO(paths[name].read_bytes()), "WAV") for name in paths}
    assert all(faults[name].endswith("states: write the file anew") for name in bad)
    assert not any(faults[name] for name in [*good, *silence])
    result = program(files / "model.dmdl", *paths.values())
    heard = [*(f"{paths[name]} {hear(samples)}" for name in good), *(f"{paths[name]} " for name in silence)]
    assert result.returncode == 2 and result.stdout.splitlines() == heard
    assert result.stderr.splitlines() == [f"error: {paths[name]}: it {faults[name]}" for name in bad]
    for data in good.values():
        result = pipe(data)
        assert (result.returncode, result.stdout) == (0, lines(hear(samples)))
    for name in silence:
        result = pipe(paths[name].read_bytes())
        assert (result.returncode, result.stdout, result.stderr) == (0, b"- \n", b"")
    for data in bad.values():
        result = pipe(data)
        assert result.returncode == 2 and result.stderr == (
            b"error: -: it has audio behind the end that its header states: send raw samples, or state no length\n"
        )
    assert pipe(bad["audio"]).stdout == lines(hear(samples))


def test_a_line_is_printed_as_soon_as_an_utterance_ends(built, files, library):
    """The program is given no end: what it prints, it prints while it listens."""
    samples = np.concatenate([speech(), np.zeros(3 * RATE, np.int16), speech("news")])
    device = Device.open(files / "model.dmdl", library=library)
    device.set_endpointing()
    device.accept_samples(samples)
    assert device.endpoint == "silence" and device.text
    command = [built / PROGRAM, files / "model.dmdl", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(samples.tobytes())
        process.stdin.flush()
        assert process.stdout.readline() == lines(device.text)
        process.stdin.close()


def test_words_have_times(files, program, library):
    path, samples = files / "a.wav", speech()
    soundfile.write(path, samples, RATE)
    device = Device.open(files / "model.dmdl", library=library)
    device.accept_samples(samples)
    device.finish()
    expected = [f"{path} {word.start_ms:.0f} {word.end_ms:.0f} {word.text}" for word in device.words]
    assert program("--words", files / "model.dmdl", path).stdout.splitlines() == expected and expected


def test_a_name_does_not_drive_the_terminal_nor_forge_a_line(files, program, hear):
    path, samples = files / "a\x1b[2J\nb.wav", speech()
    soundfile.write(path, samples, RATE)
    name = f"{files}/a\\u001b[2J\\u000ab.wav"
    result = program(files / "model.dmdl", path, f"{path}.none")
    assert result.stdout == f"{name} {hear(samples)}\n"
    assert result.returncode == 2 and result.stderr.startswith(f"error: {name}.none: ")
    assert result.stderr.count("\n") == 1
    soundfile.write(path, samples, 8000)
    assert program(files / "model.dmdl", path).stderr.startswith(f"{name}: audio of 8000 Hz is resampled")


def test_no_sign_of_a_path_drives_the_terminal(files, program):
    """As Python's commands show them: C1 controls, directions of text, and bytes that are not UTF-8."""
    named = b"a\xc2\x9b2J\xe2\x80\xaeb\xe2\x81\xa6\xc3\xa4\x9b.dmdl"
    path = os.path.join(os.fsencode(files), named)
    shown = f"{files}/a\\u009b2J\\u202eb\\u2066\u00e4\\udc9b.dmdl"
    assert program(path, "x.wav").stderr == f"error: {shown}: it cannot be opened\n"
    assert program(files / "model.dmdl", path).stderr == f"error: {shown}: it cannot be opened\n"


def test_rates_that_cannot_be_resampled_are_not_said_to_be(files, program, pipe):
    path, data = files / "a.wav", wav(speech())
    for rate, fault in (
        (16001, f"audio of 16001 Hz {NOT_HERE}"),
        (0, f"audio of 0 Hz {NOT_HERE}"),
        (3_000_000_000, "its sample rate of 3000000000 Hz is impossible"),
    ):
        path.write_bytes(data[:24] + rate.to_bytes(4, "little") + data[28:])
        assert program(files / "model.dmdl", path).stderr == f"error: {path}: {fault}\n"
    assert pipe(b"\0\0" * 1000, "--rate", "16001").stderr.startswith(b"error: -: audio of 16001 Hz")


@pytest.mark.parametrize("options", [[], ["--words"]])
def test_text_that_cannot_be_written_is_no_success(built, files, options):
    command = [built / PROGRAM, *options, files / "model.dmdl", DEMO / "news.wav", DEMO / "temperature.wav"]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    said = "error: standard output cannot be written: No space left on device\n"
    assert (result.returncode, result.stderr) == (2, said)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ([], "there is no MODEL"),
        (["model.dmdl"], "there is no FILE behind MODEL"),
        (["--foo", "model.dmdl", "x.wav"], "there is no option --foo"),
        (["--rate"], "--rate lacks its value"),
        (["--rate", "abc", "model.dmdl", "-"], "--rate abc: it must be a sample rate in Hz, such as 16000"),
        (["--kernels", "foo", "model.dmdl", "-"], "--kernels: this machine has no kernels called foo"),
        (["--f\x1b[2J", "model.dmdl", "-"], r"there is no option --f\u001b[2J"),
    ],
)
def test_wrong_options_are_one_sentence(program, words, fault):
    result = program(*words)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"error: {fault} (dualmode-device --help)\n"
