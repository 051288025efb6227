"""Finding every utterance of a Kaldi folder that cannot be trained on or scored, with the reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from dualmode.data.kaldi_dir import KaldiDir, Utterance
from dualmode.data.parallel import blocks, parallel_blocks
from dualmode.data.rejection import Rejection
from dualmode.data.tokens import control_character
from dualmode.errors import UserError
from dualmode_runtime.audio.fault import AudioFault, Reason
from dualmode_runtime.audio.reading import read_audio, read_header

# utt2dur may be rounded to two digits after the point, as Kaldi's own scripts do.
DURATION_TOLERANCE_S = 0.02
_BLOCK = 200


@dataclass(frozen=True)
class Limits:
    """What an utterance must keep to.

    Raises:
        UserError: none can.
    """

    sample_rate: int = 16000
    min_ms: float = 100.0
    max_ms: float = 40000.0

    def __post_init__(self):
        if self.sample_rate < 1:
            raise UserError(f"--sample-rate {self.sample_rate}: expected Hz, above 0")
        if not 0 <= self.min_ms < self.max_ms:
            raise UserError(f"--min-ms {self.min_ms:g} and --max-ms {self.max_ms:g} leave no utterance")


@dataclass(frozen=True)
class Report:
    """What was found: ``seconds`` of audio and ``speakers`` of the utterances that are not rejected.

    ``wordless`` of these are listed with an empty transcript; 0 where no text is looked at.
    """

    total: int
    seconds: float
    speakers: int
    wordless: int
    rejections: tuple[Rejection, ...]


@dataclass(frozen=True)
class _Part:
    """What was found in a block of utterances."""

    utterances: int
    seconds: float
    speakers: frozenset[str]
    wordless: int
    rejections: tuple[Rejection, ...]


def validate(folder: KaldiDir, limits: Limits, read_samples: bool = False, jobs: int = 1) -> Report:
    """Check every utterance; the first fault found is its reason.

    Utterances pass through block by block: memory grows with the faults and the speakers only.

    Args:
        read_samples: decode all audio (finds NaN samples and files cut off in the middle) instead of the headers only.

    Raises:
        UserError: the folder itself is at fault, see :meth:`KaldiDir.utterances`.
    """
    check = partial(_check_block, folder=folder, limits=limits, read_samples=read_samples)
    total, seconds, wordless = 0, 0.0, 0
    speakers: set[str] = set()
    rejections: list[Rejection] = []
    work = blocks(folder.utterances(), _BLOCK)
    for part in parallel_blocks(check, work, jobs, f"checking {folder.path}", folder.size()):
        total += part.utterances
        seconds += part.seconds
        speakers |= part.speakers
        wordless += part.wordless
        rejections += part.rejections
    return Report(total, seconds, len(speakers), wordless, tuple(rejections))


def _check_block(block: Sequence[Utterance], folder: KaldiDir, limits: Limits, read_samples: bool) -> _Part:
    seconds, speakers, wordless, faults = 0.0, set(), 0, []
    for utterance in block:
        try:
            _check_listing(utterance, folder)
            seconds += _check_audio(utterance, limits, read_samples)
            speakers.add(utterance.speaker)
            wordless += folder.with_text and not utterance.text
        except AudioFault as fault:
            faults.append(Rejection(utterance.utt, fault.reason, fault.detail))
    return _Part(len(block), seconds, frozenset(speakers), wordless, tuple(faults))


def _check_listing(utterance: Utterance, folder: KaldiDir) -> None:
    """Raise AudioFault if one of the lists lacks the utterance, or its transcript has what no token can have."""
    wanted = [("wav.scp", utterance.audio, Reason.NO_AUDIO), ("utt2spk", utterance.speaker, Reason.NO_SPEAKER)]
    if folder.with_text:
        wanted.insert(1, ("text", utterance.text, Reason.NO_TEXT))
    for name, value, reason in wanted:
        # An id alone in text is an utterance without words: in a test set, what is heard in silence is an error.
        if value is None or not (value or name == "text"):
            raise AudioFault(reason, f"{'not' if value is None else 'empty'} in {folder.path}/{name}")
    if folder.with_text and (sign := control_character(utterance.text)):
        raise AudioFault(Reason.UNUSABLE, f"the control character {sign} is in {folder.path}/text: take it out")


def _check_audio(utterance: Utterance, limits: Limits, read_samples: bool) -> float:
    """Return the duration in seconds, or raise AudioFault."""
    path = utterance.audio
    if read_samples:
        samples = len(read_audio(path, limits.sample_rate))
    else:
        samples = read_header(path, limits.sample_rate)
    seconds = samples / limits.sample_rate
    ms = 1000 * seconds
    if ms < limits.min_ms:
        raise AudioFault(Reason.TOO_SHORT, f"{path} lasts {ms:.0f} ms, less than {limits.min_ms:g} ms")
    if ms > limits.max_ms:
        raise AudioFault(Reason.TOO_LONG, f"{path} lasts {ms:.0f} ms, more than {limits.max_ms:g} ms")
    if utterance.seconds is not None and abs(utterance.seconds - seconds) > DURATION_TOLERANCE_S:
        detail = f"{path} lasts {seconds:.3f} s, utt2dur says {utterance.seconds:g} s"
        raise AudioFault(Reason.WRONG_DURATION, detail)
    return seconds
