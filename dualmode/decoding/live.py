"""Audio as it arrives: pieces of samples from a file, a pipe or a microphone."""

import queue
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from dualmode.errors import UserError
from dualmode_runtime.audio.fault import AudioFault
from dualmode_runtime.audio.reading import read_audio

PIECE_MS = 100


def file_pieces(path: Path) -> tuple[int, Iterator[np.ndarray]]:
    """Return the sample rate, Hz, of a mono audio file and its samples in pieces (samples,), float32 in [-1, 1].

    Raises:
        UserError: the file is missing, empty or damaged, or has several channels.
    """
    try:
        rate = soundfile.info(str(path)).samplerate
    except soundfile.SoundFileError:
        rate = 0  # reading says what is wrong
    try:
        samples = read_audio(path, rate)
    except AudioFault as fault:
        raise UserError(fault.detail) from fault
    size = max(rate * PIECE_MS // 1000, 1)
    return rate, (samples[start : start + size] for start in range(0, len(samples), size))


def pcm_pieces(stream: BinaryIO, rate: int) -> Iterator[np.ndarray]:
    """Yield (samples,) int16 of raw little-endian mono PCM as soon as they are there; half a sample at the end is left.

    Args:
        stream: with ``read1``, such as ``sys.stdin.buffer``.
        rate: Hz.
    """
    size, rest = max(rate * PIECE_MS // 1000, 1) * 2, b""
    while data := stream.read1(size):  # type: ignore[attr-defined]  # of buffered streams
        data = rest + data
        whole = len(data) // 2 * 2
        yield np.frombuffer(data[:whole], dtype="<i2").astype(np.int16)
        rest = data[whole:]


def microphone_pieces(rate: int) -> Iterator[np.ndarray]:
    """Yield (samples,) int16 of the default microphone, until the program is interrupted.

    Raises:
        UserError: the package sounddevice, PortAudio or a microphone is missing.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise UserError(
            f"a microphone needs the package sounddevice and PortAudio ({error}): pip install sounddevice, and on "
            "Debian apt-get install libportaudio2"
        ) from error
    heard: queue.Queue[np.ndarray] = queue.Queue()
    try:
        stream = sounddevice.InputStream(
            samplerate=rate,
            channels=1,
            dtype="int16",
            blocksize=max(rate * PIECE_MS // 1000, 1),
            callback=lambda samples, *_: heard.put(samples[:, 0].copy()),
        )
    except sounddevice.PortAudioError as error:
        raise UserError(f"there is no microphone to listen to: {error}") from error
    with stream:
        while True:
            yield heard.get()
