"""From a part of any recording to the 16 kHz mono file of one utterance."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from dualmode.errors import UserError
from dualmode.frames import SAMPLE_RATE
from dualmode_runtime.audio.fault import AudioFault, Reason
from dualmode_runtime.audio.reading import check_samples, decodable, open_header
from dualmode_runtime.files import atomic_path

# As Kaldi's extract-segments: ends of segments are often rounded up.
_OVERSHOOT_S = 0.5
# Frames of lossy files are counted in packets, and durations in manifests are rounded.
_SAME_END_S = 0.05
_CANCELLED = 1e-3  # of the loudest channel: what is left of channels of opposite sign is rounding
_BLOCK = 1 << 20  # samples that are decoded at a time
_READY = ("WAV", "WAVEX", "FLAC")


@dataclass(frozen=True)
class Cut:
    """A part of a recording: from ``start``, for ``seconds`` (None: to its end), of ``channel`` (None: their mean)."""

    audio: str
    start: float = 0.0
    seconds: float | None = None
    channel: int | None = None


@dataclass(frozen=True)
class Conversion:
    """Where files go that have to be made, and how long an utterance may be."""

    folder: Path
    copy: bool = False
    min_ms: float = 100.0
    max_ms: float = 40000.0


def utterance_file(utt: str, cut: Cut, how: Conversion) -> tuple[str, float, float]:
    """Return the absolute path of a 16 kHz mono WAV or FLAC file of this cut, how long it is, and what lies behind it
    in its recording, both in seconds, the latter 0 where it is no more than rounding.

    A recording that is one already is used where it lies (unless ``how.copy``); else a FLAC file is made, once: its
    name says what it was made from.  One that was damaged since is made again.

    Raises:
        AudioFault: the recording is missing or damaged, the cut is not in it, or too short or too long.
        UserError: the file cannot be written.
    """
    info = open_header(cut.audio)
    length = info.frames / info.samplerate
    end = length if cut.seconds is None else cut.start + cut.seconds
    if cut.start >= length or end > length + _OVERSHOOT_S:
        detail = f"{cut.audio} lasts {length:.3f} s, the utterance is at {cut.start:.3f} to {end:.3f} s"
        raise AudioFault(Reason.OUTSIDE_AUDIO, detail)
    end = min(end, length)
    ms = 1000 * (end - cut.start)
    if ms < how.min_ms:
        raise AudioFault(Reason.TOO_SHORT, f"{cut.audio} lasts {ms:.0f} ms, less than {how.min_ms:g} ms")
    if ms > how.max_ms:
        raise AudioFault(Reason.TOO_LONG, f"{cut.audio} lasts {ms:.0f} ms, more than {how.max_ms:g} ms")
    if cut.channel is not None and cut.channel >= info.channels:
        raise AudioFault(Reason.NOT_MONO, f"{cut.audio} has {info.channels} channels, and no channel {cut.channel + 1}")
    whole = cut.start == 0 and length - end <= _SAME_END_S
    ready = info.samplerate == SAMPLE_RATE and info.channels == 1 and info.format in _READY
    path = os.path.abspath(cut.audio)
    if whole and ready and not how.copy and path.isprintable() and path == path.strip():
        return path, info.frames / SAMPLE_RATE, 0.0
    behind = length - end if length - end > _SAME_END_S else 0.0
    target = _target(utt, cut, path, how)
    made = _seconds(target)
    if made is not None and abs(made - (length if whole else end - cut.start)) <= _SAME_END_S:
        return str(target), made, behind
    first = round(cut.start * info.samplerate)
    frames = min(round((end - cut.start) * info.samplerate), info.frames - first)  # both may be rounded up
    samples = _to_mono_16k(_read(cut, first, -1 if whole else frames), info.samplerate)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as tmp:
        try:
            soundfile.write(tmp, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
        except soundfile.SoundFileError as error:
            raise UserError(f"{target} cannot be written: {error}: is the disk full?") from None
    return str(target), len(samples) / SAMPLE_RATE, behind


def _target(utt: str, cut: Cut, path: str, how: Conversion) -> Path:
    """Return where the utterance's file goes: the name changes when the recording or the cut does."""
    stat = os.stat(path)
    made_from = f"{path} {stat.st_size} {stat.st_mtime_ns} {cut.start} {cut.seconds} {cut.channel}"
    digest = hashlib.sha256(made_from.encode("utf-8", "surrogateescape")).hexdigest()
    return how.folder.resolve() / digest[:2] / f"{utt}-{digest[2:10]}.flac"


def _seconds(path: Path) -> float | None:
    """Return how long a file of ours is; None where there is none that can be read."""
    try:
        return open_header(path).frames / SAMPLE_RATE
    except AudioFault:
        return None


def _read(cut: Cut, first: int, frames: int) -> np.ndarray:
    """Decode a part of a recording to one channel, (samples,) float32."""
    try:
        with soundfile.SoundFile(decodable(cut.audio)) as file:
            if file.seekable():
                file.seek(first)
            else:  # GSM 6.10 and others of the telephone: what lies before is decoded, too
                for _ in file.blocks(_BLOCK, frames=first):
                    pass
            wanted = file.frames - first if frames < 0 else frames
            samples = file.read(wanted, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise AudioFault(Reason.UNDECODABLE, f"{cut.audio}: {error}") from None
    if not len(samples) or (frames > 0 and len(samples) < frames):
        raise AudioFault(
            Reason.UNDECODABLE, f"{cut.audio} is cut off: {len(samples)} of {frames} samples can be decoded"
        )
    mono = samples.mean(axis=1) if cut.channel is None else samples[:, cut.channel]
    check_samples(cut.audio, mono)
    if np.abs(mono).max() < _CANCELLED * np.abs(samples).max():
        raise AudioFault(
            Reason.NOT_MONO, f"{cut.audio}: its channels cancel out in their mean: choose one (--channel 1)"
        )
    return mono


def _to_mono_16k(samples: np.ndarray, rate: int) -> np.ndarray:
    return samples if rate == SAMPLE_RATE else soxr.resample(samples, rate, SAMPLE_RATE, quality="HQ")
