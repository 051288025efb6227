"""Recordings of any rate, number of channels and format, block by block: an hour needs no more memory than a minute.

What libsndfile reads (WAV, FLAC, MP3, Ogg, ...) is read by it; m4a, webm, mp4 and others by ffmpeg, where it is there.
What a file is, its first bytes say, and only where they do not, its name.
"""

import contextlib
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import soundfile

from dualmode_runtime.audio.fault import AudioFault, Reason
from dualmode_runtime.audio.kinds import BEGINNING, kind_of
from dualmode_runtime.audio.reading import check_name, check_rate, check_samples, decodable, open_header

BY_FFMPEG = {".m4a", ".mp4", ".webm", ".aac", ".wma", ".mkv", ".mov", ".amr", ".3gp", ".avi", ".ts", ".ac3", ".mka"}
# ffmpeg's names of what holds sound itself; a playlist by one of these endings would have it open other files.
FFMPEG_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aac,asf,amr,avi,mpegts,ac3,eac3"
BY_SNDFILE = {".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".au", ".caf", ".w64", ".rf64", ".sph"}
BLOCK = 1 << 16  # samples read at once, of all channels together: a file may state a thousand of them
_AU = struct.Struct(">4s5I")  # magic, offset of the samples, bytes, encoding, rate, channels


@dataclass(frozen=True)
class Media:
    """An open recording.

    Attributes:
        rate: Hz.
        channels: how many.
        blocks: yields (samples, channels) float32 in [-1, 1], in order, once.
    """

    rate: int
    channels: int
    blocks: Iterator[np.ndarray]


@contextlib.contextmanager
def open_media(path: Path) -> Iterator[Media]:
    """Open a recording.

    Raises:
        AudioFault: it is missing, empty or damaged, or ffmpeg is needed and is not there; also from ``blocks``.
    """
    if needs_ffmpeg(path):
        check_name(path)
        with _open_ffmpeg(path) as media:
            yield media
        return
    info = open_header(path, counted=False)
    with soundfile.SoundFile(decodable(path)) as file:
        yield Media(info.samplerate, info.channels, _sndfile_blocks(path, file, info.frames))


def needs_ffmpeg(path: Path) -> bool:
    """Return whether there is such a file, and not one that libsndfile reads."""
    try:
        if not path.is_file():  # a pipe would wait
            return False
        with open(path, "rb") as file:
            kind = kind_of(file.read(BEGINNING))
    except OSError:
        return False  # libsndfile's reader says what is wrong
    return (kind or path.suffix.lower()) in BY_FFMPEG


def check_media(path: Path, channel: int | None = None) -> tuple[int, int]:
    """Return the rate, Hz, and the number of channels of a recording that can be opened.

    Args:
        path: the recording.
        channel: that has to be there, counted from 1.

    Raises:
        AudioFault: it cannot be opened, or has no such channel.
    """
    with open_media(path) as media:
        check_channel(path, media.channels, channel)
        return media.rate, media.channels


def check_channel(path: Path, channels: int, channel: int | None) -> None:
    """Raise AudioFault where a recording of so many channels has no such channel, counted from 1; None is any."""
    if channel is not None and not 1 <= channel <= channels:
        raise AudioFault(Reason.NOT_MONO, f"{path} has {channels} channels, and no channel {channel}")


def one_channel(channel: int | None) -> Callable[[np.ndarray], np.ndarray]:
    """Return what makes (samples,) of (samples, channels): the channel, counted from 1, or the mean of all."""
    return (lambda block: block.mean(axis=1)) if channel is None else (lambda block: block[:, channel - 1])


def _sndfile_blocks(path: Path, file: soundfile.SoundFile, promised: int) -> Iterator[np.ndarray]:
    heard, frames = 0, max(BLOCK // file.channels, 1)
    try:
        while len(block := file.read(frames, dtype="float32", always_2d=True)):
            check_samples(path, block.ravel())
            heard += len(block)
            yield block
    except soundfile.SoundFileError as error:
        raise AudioFault(Reason.UNDECODABLE, f"{path}: {error}") from None
    if not heard:
        raise AudioFault(Reason.EMPTY_AUDIO, f"{path} has no samples")
    if heard < promised:
        raise AudioFault(Reason.UNDECODABLE, f"{path} is cut off: {heard} of {promised} samples can be decoded")


@contextlib.contextmanager
def _open_ffmpeg(path: Path) -> Iterator[Media]:
    """Let ffmpeg decode into a pipe, as Sun's AU: its header says rate and channels and need not know the length."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        detail = f"{path} needs ffmpeg, which is not installed (Debian: apt-get install ffmpeg); or convert it to WAV"
        raise AudioFault(Reason.UNDECODABLE, detail)
    bounds = ["-format_whitelist", FFMPEG_FORMATS, "-protocol_whitelist", "file"]
    command = [ffmpeg, "-nostdin", "-v", "error", *bounds, "-i", _source(path), "-map", "0:a:0", "-c:a", "pcm_s16be"]
    command += ["-f", "au", "-"]
    with (
        tempfile.TemporaryFile() as said,  # a pipe that nobody reads would stop it once it is full
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, stdin=subprocess.DEVNULL) as process,
    ):
        try:
            header = process.stdout.read(_AU.size)
            if len(header) < _AU.size:
                raise _ffmpeg_fault(path, process, said)
            _, offset, _, _, rate, channels = _AU.unpack(header)
            check_rate(path, rate)
            process.stdout.read(offset - _AU.size)
            yield Media(rate, channels, _ffmpeg_blocks(path, process, channels, said))
        finally:
            process.kill()  # where not all was read; a process that has ended does not mind


def _ffmpeg_blocks(path: Path, process: subprocess.Popen, channels: int, said: IO[bytes]) -> Iterator[np.ndarray]:
    heard, frames = 0, max(BLOCK // channels, 1)
    while len(data := process.stdout.read(2 * channels * frames)) >= 2 * channels:
        whole = len(data) // (2 * channels) * 2 * channels
        heard += whole
        yield np.frombuffer(data[:whole], ">i2").reshape(-1, channels).astype(np.float32) / 32768
    if process.wait():
        raise _ffmpeg_fault(path, process, said)
    if not heard:
        raise AudioFault(Reason.EMPTY_AUDIO, f"{path} has no samples")


def _source(path: Path) -> str:
    return f"file:{os.path.abspath(path)}"  # a name can be no protocol or option


def _ffmpeg_fault(path: Path, process: subprocess.Popen, said: IO[bytes]) -> AudioFault:
    process.wait()
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines() or ["it says nothing"]
    why = lines[-1].removeprefix(f"{_source(path)}: ")
    return AudioFault(Reason.UNDECODABLE, f"{path} cannot be decoded by ffmpeg: {why}")
