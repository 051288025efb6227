"""Endpointing: where in an endless stream an utterance ends.  Rules as in Kaldi's online-endpoint.h, times in ms."""

from dataclasses import dataclass
from enum import Enum

from dualmode_runtime.errors import UserError


class Endpoint(Enum):
    """Why an utterance ends, in the words of the engine and of ``dualmode serve``, too."""

    SILENCE = "silence"
    NOTHING_SAID = "nothing said"
    TOO_LONG = "too long"


@dataclass(frozen=True)
class Endpointing:
    """When an utterance ends::

        |<-- at most max_lead_ms -->|w o r d   w o r d|<-- silence_ms -->|   ended
        |<------------------------- at most max_utterance_ms ----------->|   ended all the same

    Silence is what the model puts no token out for.  The rules are asked after each chunk.

    Args:
        silence_ms: silence after the last token.
        max_lead_ms: silence before the first token, after which the utterance begins anew.
        max_utterance_ms: longest utterance, and longest silence before a token.

    Raises:
        UserError: a time is not above 0.
    """

    silence_ms: float = 1000
    max_lead_ms: float = 5000
    max_utterance_ms: float = 30000

    def __post_init__(self):
        for name in ("silence_ms", "max_lead_ms", "max_utterance_ms"):
            if not getattr(self, name) > 0:
                raise UserError(f"endpointing: {name} is {getattr(self, name)}: it must be above 0")

    def check(self, heard_ms: float, last_token_ms: float | None) -> Endpoint | None:
        """Return why the utterance ends, or None if it goes on.

        Args:
            heard_ms: searched so far.
            last_token_ms: when the last token's frame ended; None without a token.

        >>> Endpointing().check(2560, 1600), Endpointing().check(2640, 1600), Endpointing().check(5120, None)
        (None, <Endpoint.SILENCE: 'silence'>, <Endpoint.NOTHING_SAID: 'nothing said'>)
        >>> Endpointing(max_utterance_ms=1000).check(1280, None)
        <Endpoint.NOTHING_SAID: 'nothing said'>
        """
        if last_token_ms is None:
            return Endpoint.NOTHING_SAID if heard_ms >= min(self.max_lead_ms, self.max_utterance_ms) else None
        if heard_ms - last_token_ms >= self.silence_ms:
            return Endpoint.SILENCE
        return Endpoint.TOO_LONG if heard_ms >= self.max_utterance_ms else None
