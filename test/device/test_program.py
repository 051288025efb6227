"""The program with several channels, other rates, and standard input."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dualmode_runtime.build import PROGRAM
from dualmode_runtime.engine import Device

RATE = 16000
DEMO = Path(__file__).parents[2] / "egs" / "mini" / "demo"


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
    ],
)
def test_wrong_options_are_one_sentence(program, words, fault):
    result = program(*words)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"error: {fault} (dualmode-device --help)\n"
