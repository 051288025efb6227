"""Finding every utterance of a Kaldi folder that cannot be trained on or scored, with the reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from dualmode.data.audio import AudioFault, read_audio, read_header
from dualmode.data.kaldi_dir import KaldiDir
from dualmode.data.parallel import blocks, parallel_blocks
from dualmode.data.rejection import Reason, Rejection

# utt2dur may be rounded to two digits after the point, as Kaldi's own scripts do.
DURATION_TOLERANCE_S = 0.02
_BLOCK = 200


@dataclass(frozen=True)
class Limits:
    """What an utterance must keep to."""

    sample_rate: int = 16000
    min_ms: float = 100.0
    max_ms: float = 40000.0


@dataclass(frozen=True)
class Report:
    """What was found: ``seconds`` of audio in the utterances that are not rejected."""

    total: int
    seconds: float
    rejections: tuple[Rejection, ...]


@dataclass(frozen=True)
class _Audio:
    utt: str
    path: str
    stated_s: float | None


def validate(folder: KaldiDir, limits: Limits, read_samples: bool = False, jobs: int = 1) -> Report:
    """Check every utterance; the first fault found is its reason.

    Args:
        read_samples: decode all audio (finds NaN samples and files cut off in the middle) instead of the headers only.
    """
    faults: dict[str, Rejection] = {}
    audio = []
    utterances = folder.utterances()
    for utt in utterances:
        fault = _listing_fault(folder, utt)
        if fault:
            faults[utt] = fault
        else:
            stated = folder.utt2dur.get(utt) if folder.utt2dur else None
            audio.append(_Audio(utt, folder.wav_scp[utt], float(stated) if stated else None))
    check = partial(_check_block, limits=limits, read_samples=read_samples)
    seconds = 0.0
    for block_seconds, block_faults in parallel_blocks(check, blocks(audio, _BLOCK), jobs, f"checking {folder.path}"):
        seconds += block_seconds
        faults.update((fault.utt, fault) for fault in block_faults)
    return Report(len(utterances), seconds, tuple(faults[utt] for utt in utterances if utt in faults))


def _listing_fault(folder: KaldiDir, utt: str) -> Rejection | None:
    if utt not in folder.wav_scp:
        return Rejection(utt, Reason.NO_AUDIO, f"not in {folder.path}/wav.scp")
    if folder.text is not None and not folder.text.get(utt):
        found = "empty" if utt in folder.text else "not"
        return Rejection(utt, Reason.NO_TEXT, f"{found} in {folder.path}/text")
    if not folder.utt2spk.get(utt):
        found = "empty" if utt in folder.utt2spk else "not"
        return Rejection(utt, Reason.NO_SPEAKER, f"{found} in {folder.path}/utt2spk")
    return None


def _check_block(block: Sequence[_Audio], limits: Limits, read_samples: bool) -> tuple[float, list[Rejection]]:
    seconds, faults = 0.0, []
    for audio in block:
        try:
            seconds += _check_audio(audio, limits, read_samples)
        except AudioFault as fault:
            faults.append(Rejection(audio.utt, fault.reason, fault.detail))
    return seconds, faults


def _check_audio(audio: _Audio, limits: Limits, read_samples: bool) -> float:
    """Return the duration in seconds, or raise AudioFault."""
    if read_samples:
        samples = len(read_audio(audio.path, limits.sample_rate))
    else:
        samples = read_header(audio.path, limits.sample_rate)
    seconds = samples / limits.sample_rate
    ms = 1000 * seconds
    if ms < limits.min_ms:
        raise AudioFault(Reason.TOO_SHORT, f"{audio.path} lasts {ms:.0f} ms, less than {limits.min_ms:g} ms")
    if ms > limits.max_ms:
        raise AudioFault(Reason.TOO_LONG, f"{audio.path} lasts {ms:.0f} ms, more than {limits.max_ms:g} ms")
    if audio.stated_s is not None and abs(audio.stated_s - seconds) > DURATION_TOLERANCE_S:
        detail = f"{audio.path} lasts {seconds:.3f} s, utt2dur says {audio.stated_s:g} s"
        raise AudioFault(Reason.WRONG_DURATION, detail)
    return seconds
