"""What can be wrong with an utterance: a reason of a fixed list, and what was found."""

import enum


class Reason(str, enum.Enum):
    """Why an utterance is rejected; the value is what stands in the list."""

    NO_AUDIO = "no-audio"
    NO_TEXT = "no-text"
    NO_SPEAKER = "no-speaker"
    MISSING_FILE = "missing-file"
    EMPTY_AUDIO = "empty-audio"
    UNDECODABLE = "undecodable-audio"
    SAMPLE_RATE = "other-sample-rate"
    NOT_MONO = "not-mono"
    NOT_FINITE = "nan-samples"
    BAD_SCALE = "bad-scale"
    TOO_SHORT = "too-short"
    TOO_LONG = "too-long"
    WRONG_DURATION = "wrong-duration"
    UNSEEN_TOKEN = "characters-outside-token-list"
    OUTSIDE_AUDIO = "outside-its-recording"
    DUPLICATE = "same-audio-twice"
    NUMBERS = "numbers-in-transcript"
    UNUSABLE = "not-usable"
    SHORT_FOR_TEXT = "too-short-for-transcript"


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
