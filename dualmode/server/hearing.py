"""One client's audio in the device engine: bytes in, what was understood out.  Runs in the threads of pool.py."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dualmode.errors import UserError
from dualmode.frames import FRAME_MS, LAST_FRAME_MS, SAMPLE_RATE
from dualmode.server.protocol import TYPES, Hello, as_samples
from dualmode_runtime.audio.pauses import Piece
from dualmode_runtime.audio.resample import to_float
from dualmode_runtime.engine import Device
from dualmode_runtime.frames import MAX_PEAK
from dualmode_runtime.recordings import resampled


@dataclass(frozen=True)
class Partial:
    """The text so far of an utterance that has not ended; the last word may still change."""

    utterance: int
    text: str
    heard_ms: float


@dataclass(frozen=True)
class Final:
    """An utterance that has ended.

    Attributes:
        endpoint: why; None where the audio ended.
        words: as the protocol has them.
        piece: its audio at 16 kHz, if audio is kept.
    """

    utterance: int
    start_ms: float
    end_ms: float
    endpoint: str | None
    text: str
    words: list[dict[str, Any]]
    piece: Piece | None


class BadSamples(UserError):
    """Samples that no audio has; ``found`` is what there is to tell of those before."""

    def __init__(self, found: "list[Partial | Final]"):
        super().__init__("samples are not finite, or far outside of [-1, 1]: divide integers by their range")
        self.found = found


def sound_samples(samples: np.ndarray) -> int:
    """Return how many of samples (n,) come before the first that is not finite, or far outside of [-1, 1].

    >>> sound_samples(np.array([0.5, -1.0, np.nan, 0.5], np.float32)), sound_samples(np.array([-32768], np.int16))
    (2, 1)
    """
    if np.issubdtype(samples.dtype, np.integer):
        return len(samples)
    bad = np.flatnonzero(~(np.abs(samples) <= MAX_PEAK))
    return int(bad[0]) if len(bad) else len(samples)


class Hearing:
    """Hears a client's audio, utterance after utterance.

    Args:
        device: a new stream of the engine; freed with this object, as a thread may be at it when the client has gone.
        hello: what the client said at first.
        keeps_audio: whether utterances bring their audio along.
    """

    def __init__(self, device: Device, hello: Hello, keeps_audio: bool):
        self._device, self._hello, self._keeps_audio = device, hello, keeps_audio
        self._width = TYPES[hello.format].itemsize
        self._odd = b""  # the beginning of a sample whose end has not come
        self._kept = bytearray()  # audio from sample _kept_from on
        self._kept_from = self._heard = 0
        self._utterance, self._shown = 0, ""
        device.set_endpointing(hello.silence_ms, max_utterance_ms=hello.max_utterance_ms)

    @property
    def heard_ms(self) -> float:
        """Audio heard so far."""
        return 1000 * self._heard / self._hello.sample_rate

    @property
    def wants_ms(self) -> float:
        """How much of the audio, from its beginning on, the engine waits for before it goes on."""
        info = self._device.info
        return self._device.end_ms + FRAME_MS * (info.chunk + info.right) + LAST_FRAME_MS

    def hear(self, data: bytes) -> list[Partial | Final]:
        """Hear more bytes, any number of them, and return what there is to tell.

        Raises:
            BadSamples: some are not finite, or far outside of [-1, 1]; what was before the first of them is heard.
        """
        data = self._odd + data
        whole = len(data) // self._width * self._width
        data, self._odd = data[:whole], data[whole:]
        samples = as_samples(data, self._hello.format)
        count = sound_samples(samples)
        self._device.accept_samples(samples[:count], self._hello.sample_rate)
        self._heard += count
        if self._keeps_audio:
            self._kept += data[: count * self._width]
        found: list[Partial | Final] = []
        while endpoint := self._device.endpoint:
            found += self._ended(endpoint)
            self._device.next_utterance()
            self._forget(self._device.start_ms)
        text = self._device.text
        if text != self._shown:
            self._shown = text
            found.append(Partial(self._utterance, text, self.heard_ms))
        if count < len(samples):
            raise BadSamples(found)
        return found

    def finish(self) -> list[Partial | Final]:
        """End the audio; return its last utterance, unless nothing was said in it."""
        self._device.finish()
        return self._ended(None)

    def _ended(self, endpoint: str | None) -> list[Partial | Final]:
        text, start, end = self._device.text, self._device.start_ms, self._device.end_ms
        if not text:
            return []  # mere silence is no utterance
        words = [asdict(word) for word in self._device.words]
        final = Final(self._utterance, start, end, endpoint, text, words, self._piece(start, end))
        self._utterance, self._shown = self._utterance + 1, ""
        return [final]

    def _sample(self, ms: float) -> int:
        return round(ms * self._hello.sample_rate / 1000)

    def _piece(self, start_ms: float, end_ms: float) -> Piece | None:
        if not self._keeps_audio:
            return None
        first, last = (self._width * max(self._sample(ms) - self._kept_from, 0) for ms in (start_ms, end_ms))
        samples = to_float(as_samples(bytes(self._kept[first:last]), self._hello.format))
        samples = np.concatenate(list(resampled([samples], self._hello.sample_rate)))
        return Piece(samples, start_ms, start_ms + 1000 * len(samples) / SAMPLE_RATE, True)

    def _forget(self, before_ms: float) -> None:
        if self._keeps_audio:
            count = max(self._sample(before_ms) - self._kept_from, 0)
            del self._kept[: self._width * count]
            self._kept_from += count
