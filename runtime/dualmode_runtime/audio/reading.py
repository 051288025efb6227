"""Reading one audio file: mono float32 in [-1, 1] at the expected sample rate, or a typed reason why not."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from dualmode_runtime.audio.compressed import flac_lengths, flac_with_length
from dualmode_runtime.audio.containers import length_fault
from dualmode_runtime.audio.fault import AudioFault, Reason
from dualmode_runtime.frames import MAX_PEAK
from dualmode_runtime.lines import is_unicode

# Hz, lowest and highest, of what is resampled: a small file of another rate could be hours of audio, or none at all.
RATES = (4000, 384_000)

_MP3_FRAME = 1152
_BLOCK = 1 << 20  # samples that are decoded at a time, so that no header decides over the memory


@dataclass(frozen=True)
class Header:
    """What a file says, checked: ``frames`` samples of each channel, Hz, channels, libsndfile's name of its format.

    Of an Ogg file that was not decoded, ``frames`` is 0: its headers may state any length.
    """

    frames: int
    samplerate: int
    channels: int
    format: str


def open_header(path: str | os.PathLike, counted: bool = True) -> Header:
    """Return what a file of any rate and number of channels says.

    Args:
        path: the file.
        counted: whether an Ogg file is decoded for the number of its samples, however many they are.

    Raises:
        AudioFault: missing, empty or undecodable file, one that does not end where its container says, or an
            impossible rate.
    """
    path = Path(path)
    check_name(path)
    try:
        there = path.is_file()
    except OSError as error:  # no name that a file could have, such as a transcript in its place
        raise AudioFault(Reason.MISSING_FILE, f"there can be no file {path}: {error.strerror}") from None
    if not there and path.exists() and not path.is_dir():
        message = f"{path} is a pipe or a device, which cannot be read twice: write its audio to a file"
        raise AudioFault(Reason.MISSING_FILE, message)
    if not there:
        raise AudioFault(Reason.MISSING_FILE, f"there is no file {path}")
    stat = path.stat()
    if stat.st_size == 0:
        raise AudioFault(Reason.EMPTY_AUDIO, f"{path} has 0 bytes")
    return _open_header(path, stat.st_size, stat.st_mtime_ns, counted)


@lru_cache(maxsize=8)  # the cuts of a long recording ask one after the other
def _open_header(path: Path, size: int, _: int, counted: bool) -> Header:
    try:
        info = soundfile.info(str(path))
    except soundfile.SoundFileError as error:
        raise _unreadable(path, error) from None
    check_rate(path, info.samplerate)
    frames = info.frames
    with open(path, "rb") as file:
        if fault := length_fault(file, info.format):
            raise AudioFault(Reason.UNDECODABLE, f"{path} {fault}")
        if info.format == "FLAC":
            frames = flac_lengths(file, size)[1] or 0
    if info.format == "OGG":
        frames = sum(map(len, _decode(path))) if counted else 0
    if frames <= 0 and (counted or info.format != "OGG"):
        raise AudioFault(Reason.EMPTY_AUDIO, f"{path} has no samples")
    return Header(frames, info.samplerate, info.channels, info.format)


def check_name(path: Path) -> None:
    """Raise AudioFault for a name that is not UTF-8, which decoders do not take."""
    if not is_unicode(str(path)):
        raise AudioFault(Reason.UNDECODABLE, f"the name {ascii(str(path))} is not UTF-8: rename the file")


def check_rate(path: Path, rate: int) -> None:
    """Raise AudioFault for a rate that no recording of speech has."""
    if not RATES[0] <= rate <= RATES[1]:
        raise AudioFault(Reason.SAMPLE_RATE, f"{path} has {rate} Hz: expected {RATES[0]} to {RATES[1]} Hz")


def read_header(path: str | os.PathLike, sample_rate: int) -> int:
    """Return the number of samples.

    Raises:
        AudioFault: as :func:`open_header`; also another sample rate, or more than one channel.
    """
    header = open_header(path)
    if header.samplerate != sample_rate:
        raise AudioFault(Reason.SAMPLE_RATE, f"{path} has {header.samplerate} Hz, expected {sample_rate} Hz")
    if header.channels != 1:
        raise AudioFault(Reason.NOT_MONO, f"{path} has {header.channels} channels, expected 1")
    return header.frames


def read_audio(path: str | os.PathLike, sample_rate: int) -> np.ndarray:
    """Decode a whole file.

    Returns:
        (samples,) float32, full scale at 1.0.

    Raises:
        AudioFault: as :func:`read_header`; also fewer samples than the header promises, NaN or infinite samples,
            samples far outside [-1, 1].
    """
    path = Path(path)
    promised = read_header(path, sample_rate)
    samples = np.concatenate([*_decode(path), np.zeros(0, np.float32)])
    # Of an MP3 file libsndfile may count the decoder's delay, less than a frame, too.
    if len(samples) < promised - (_MP3_FRAME if open_header(path).format == "MP3" else 0):
        raise AudioFault(Reason.UNDECODABLE, f"{path} is cut off: {len(samples)} of {promised} samples can be decoded")
    check_samples(path, samples)
    return samples


def check_samples(path: str | os.PathLike, samples: np.ndarray) -> None:
    """Raise AudioFault for NaN or infinite samples, or samples far outside [-1, 1]."""
    bad = np.flatnonzero(~np.isfinite(samples))
    if len(bad):
        raise AudioFault(Reason.NOT_FINITE, f"{path} has {len(bad)} NaN or infinite samples, the first at {bad[0]}")
    peak = float(np.abs(samples).max())
    if peak > MAX_PEAK:
        raise AudioFault(Reason.BAD_SCALE, f"{path} has samples up to {peak:g}, expected the range -1 to 1")


def _decode(path: Path) -> Iterator[np.ndarray]:
    """Decode a file block by block, to its real end."""
    try:
        with soundfile.SoundFile(decodable(path)) as file:
            while len(block := file.read(_BLOCK, dtype="float32")):
                yield block
    except soundfile.SoundFileError as error:
        raise _undecodable(path, error) from None


def decodable(path: str | os.PathLike) -> str | BinaryIO:
    """Return what soundfile can decode: the path, or a FLAC file in memory whose header leaves its length open."""
    return flac_with_length(Path(path)) or str(path)


def _unreadable(path: Path, error: Exception) -> AudioFault:
    """What can be read; libsndfile's reason too, unless it is that a file is missing, which it says of any bad MP3."""
    reason = str(error).split("': ")[-1].strip(" .")
    said = f" ({reason})" if reason and "does not exist" not in reason else ""
    advice = "" if shutil.which("ffmpeg") else " (Debian: apt-get install ffmpeg)"
    return AudioFault(
        Reason.UNDECODABLE,
        f"{path} cannot be read as audio{said}: libsndfile reads WAV, FLAC, MP3, Ogg, AIFF and others; convert what is "
        f"something else with ffmpeg{advice}",
    )


def _undecodable(path: Path, error: Exception) -> AudioFault:
    """libsndfile's message without its ``Error opening 'path':`` start."""
    reason = str(error).split("': ")[-1].strip(" .")
    return AudioFault(Reason.UNDECODABLE, f"{path}: {reason or 'it cannot be decoded: write the file anew'}")
