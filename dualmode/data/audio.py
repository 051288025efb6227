"""Reading one audio file: mono float32 in [-1, 1] at the expected sample rate, or a typed reason why not."""

import os
import struct
from pathlib import Path

import numpy as np
import soundfile

from dualmode.data.rejection import Reason

# Decoders of lossy formats overshoot 1.0 by a little; a file whose samples are still on the 16-bit integer scale
# overshoots it by four orders of magnitude.  Features depend on the scale, so only the first may pass.
MAX_PEAK = 4.0

# Programs that write WAV into a pipe cannot know its length and put 2**31 or 2**32 minus a little there.
_UNKNOWN_LENGTH = 0x7FFF0000


class AudioFault(Exception):
    """A file that cannot be used as one utterance.

    Attributes:
        reason: which of the known faults it is.
        detail: what was found, naming the file.
    """

    def __init__(self, reason: Reason, detail: str):
        super().__init__(f"{reason.value}: {detail}")
        self.reason, self.detail = reason, detail

    def __reduce__(self):
        # Exceptions are pickled by their message alone; worker processes hand this one back whole.
        return AudioFault, (self.reason, self.detail)


def open_header(path: str | os.PathLike):
    """Return what soundfile says about a file of any kind: its frames, samplerate, channels and format.

    Raises:
        AudioFault: missing, empty or undecodable file, or a WAV file cut off.
    """
    path = Path(path)
    try:
        there = path.is_file()
    except OSError as error:  # no name that a file could have, such as a transcript in its place
        raise AudioFault(Reason.MISSING_FILE, f"there can be no file {path}: {error.strerror}") from None
    if not there:
        raise AudioFault(Reason.MISSING_FILE, f"there is no file {path}")
    if path.stat().st_size == 0:
        raise AudioFault(Reason.EMPTY_AUDIO, f"{path} has 0 bytes")
    try:
        info = soundfile.info(str(path))
    except soundfile.SoundFileError as error:
        raise AudioFault(Reason.UNDECODABLE, f"{path}: {_say(error)}") from None
    if info.frames == 0:
        raise AudioFault(Reason.EMPTY_AUDIO, f"{path} has no samples")
    missing = _missing_wav_bytes(path) if info.format in ("WAV", "WAVEX") else 0
    if missing:
        raise AudioFault(Reason.UNDECODABLE, f"{path} is cut off: its last {missing} bytes are missing")
    return info


def read_header(path: str | os.PathLike, sample_rate: int) -> int:
    """Return the number of samples the header promises, without decoding them.

    Raises:
        AudioFault: as :func:`open_header`; also another sample rate, or more than one channel.
    """
    info = open_header(path)
    if info.samplerate != sample_rate:
        raise AudioFault(Reason.SAMPLE_RATE, f"{path} has {info.samplerate} Hz, expected {sample_rate} Hz")
    if info.channels != 1:
        raise AudioFault(Reason.NOT_MONO, f"{path} has {info.channels} channels, expected 1")
    return info.frames


def _missing_wav_bytes(path: Path) -> int:
    """Return how many bytes of samples a RIFF file promises beyond its end.

    libsndfile takes such a file, without a word, as a shorter one; its transcript would then be of more than is heard.
    """
    size = path.stat().st_size
    with open(path, "rb") as wav:
        wav.seek(12)
        while len(header := wav.read(8)) == 8:
            name, length = struct.unpack("<4sI", header)
            if name == b"data":
                return 0 if length >= _UNKNOWN_LENGTH else max(wav.tell() + length - size, 0)
            wav.seek(length + length % 2, os.SEEK_CUR)
    return 0


def read_audio(path: str | os.PathLike, sample_rate: int) -> np.ndarray:
    """Decode a whole file.

    Returns:
        (samples,) float32, full scale at 1.0.

    Raises:
        AudioFault: as :func:`read_header`; also fewer samples than the header promises, NaN or infinite samples,
            samples far outside [-1, 1].
    """
    promised = read_header(path, sample_rate)
    try:
        samples, _ = soundfile.read(str(path), dtype="float32")
    except soundfile.SoundFileError as error:
        raise AudioFault(Reason.UNDECODABLE, f"{path}: {_say(error)}") from None
    if len(samples) < promised:
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


def _say(error: Exception) -> str:
    """libsndfile's message without its ``Error opening 'path':`` start."""
    return str(error).split("': ")[-1].rstrip(".")
