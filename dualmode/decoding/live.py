"""Audio as it arrives: pieces of samples from a file, a pipe or a microphone."""

import queue
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dualmode.errors import UserError
from dualmode_runtime.audio.fault import AudioFault
from dualmode_runtime.audio.kinds import bytes_to_tell, kind_of
from dualmode_runtime.audio.media import check_media, one_channel, open_media

PIECE_MS = 100


def file_pieces(path: Path, channel: int | None = None) -> tuple[int, Iterator[np.ndarray]]:
    """Return the sample rate, Hz, of a recording and its samples in pieces (samples,), float32 in [-1, 1].

    Args:
        path: of any rate and format, see :mod:`dualmode_runtime.audio.media`; it is opened at once.
        channel: of several, counted from 1; None is their mean, which is said on standard error.

    Raises:
        UserError: the file is missing, empty or damaged, or has no such channel; also while the pieces are read.
    """
    try:
        rate, channels = check_media(path, channel)
    except AudioFault as fault:
        raise UserError(fault.detail) from fault
    if channels > 1 and channel is None:
        print(f"{path} has {channels} channels, mixed to one (--channel)", file=sys.stderr)
    return rate, _media_pieces(path, max(rate * PIECE_MS // 1000, 1), channel)


def _media_pieces(path: Path, size: int, channel: int | None) -> Iterator[np.ndarray]:
    mono = one_channel(channel)
    try:
        with open_media(path) as media:
            for samples in map(mono, media.blocks):
                yield from (samples[start : start + size] for start in range(0, len(samples), size))
    except AudioFault as fault:
        raise UserError(fault.detail) from fault


def pcm_pieces(stream: BinaryIO, rate: int) -> Iterator[np.ndarray]:
    """Yield (samples,) int16 of raw little-endian mono PCM as soon as they are there; half a sample at the end is left.

    Args:
        stream: with ``read1``, such as ``sys.stdin.buffer``.
        rate: Hz.

    Raises:
        UserError: it is empty, or begins with the header of an audio file.
    """
    size, rest = max(rate * PIECE_MS // 1000, 1) * 2, b""
    data = _beginning(stream, size)
    if not data:
        raise UserError("standard input is empty: raw 16-bit mono samples are expected")
    kind = kind_of(data)
    if kind:
        raise UserError(
            f"standard input is a {kind[1:].upper()} file, and raw 16-bit mono samples are expected: name the file "
            "instead of -, or send its samples alone, such as by ffmpeg -i FILE -f s16le -ac 1 -ar 16000 -"
        )
    while data:
        data = rest + data
        whole = len(data) // 2 * 2
        yield np.frombuffer(data[:whole], dtype="<i2").astype(np.int16)
        rest = data[whole:]
        data = stream.read1(size)  # type: ignore[attr-defined]  # of buffered streams


def _beginning(stream: BinaryIO, size: int) -> bytes:
    """Read until the header of a file would show, or the end."""
    data = b""
    while len(data) < bytes_to_tell(data) and (more := stream.read1(size)):  # type: ignore[attr-defined]
        data += more
    return data


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
