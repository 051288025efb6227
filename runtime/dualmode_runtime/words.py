"""A word of a transcript, with its times."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """A word of a transcript.

    Attributes:
        text: as written.
        start_ms: beginning of the 40 ms frame in which its first token was put out, from the audio's beginning on.
        stable_ms: how much audio had been heard when the word could not change any more; None while it still
            can, and where PyTorch runs a device file.
        end_ms: end of the frame in which its last token was put out: of a word of one token, no more than that.
        confidence: from 0 to 1, see :mod:`dualmode.search.confidence`.
    """

    text: str
    start_ms: float | None = None
    stable_ms: float | None = None
    end_ms: float | None = None
    confidence: float | None = None

    def to_dict(self) -> dict[str, str | float | None]:
        """Return it as JSON has it: times in ms from the audio's beginning on."""
        sure = None if self.confidence is None else round(self.confidence, 4)
        times = {"start_ms": self.start_ms, "end_ms": self.end_ms, "stable_ms": self.stable_ms}
        return {"text": self.text, **times, "confidence": sure}
