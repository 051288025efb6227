"""Recognition with a device file: of whole recordings, and of audio that arrives piece by piece."""

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dualmode_runtime.audio.pauses import Piece
from dualmode_runtime.audio.resample import check_hertz, say_rate, to_float
from dualmode_runtime.endpoint import Endpoint, Endpointing
from dualmode_runtime.engine import Device, DeviceModel
from dualmode_runtime.errors import UserError
from dualmode_runtime.frames import SAMPLE_RATE
from dualmode_runtime.recordings import MAX_UTTERANCE_MS, transcribe_one
from dualmode_runtime.subnet import Context, Subnet
from dualmode_runtime.transcript import Alternative, Result, Transcript
from dualmode_runtime.words import Word

PIECE = SAMPLE_RATE // 10  # samples that a device hears at a time


class Recognizer:
    """Recognises with the one sub-network that a device file holds, greedily, on the thread that asks; any number may.

    >>> recognizer = Recognizer.open("model.dmdl")                                  # doctest: +SKIP
    >>> recognizer.transcribe("speech.wav").text                                    # doctest: +SKIP
    >>> stream = recognizer.stream()                                                # doctest: +SKIP
    >>> for piece in pieces_of_samples:                                             # doctest: +SKIP
    ...     stream.accept_waveform(piece, 16000)
    ...     print(stream.partial().text)
    >>> stream.result().text                                                        # doctest: +SKIP

    Args:
        model: an open file, or what has its ``info`` and ``stream()``.

    Attributes:
        subnet: which sub-network it is.
    """

    def __init__(self, model: DeviceModel | Any):
        self._model = model
        self.subnet = subnet_of(model.info)

    @classmethod
    def open(cls, path: str | os.PathLike, kernels: str | None = None) -> "Recognizer":
        """Open a device file in the compiled engine; see :meth:`dualmode_runtime.engine.DeviceModel.open`.

        Raises:
            UserError: the file is missing or damaged, or the engine was not compiled.
        """
        return cls(DeviceModel.open(path, kernels))

    def transcribe(
        self,
        audio: str | os.PathLike | np.ndarray,
        rate: int | None = None,
        channel: int | None = None,
        max_utterance_ms: float = MAX_UTTERANCE_MS,
    ) -> Result:
        """Return the transcript of a whole recording.

        Args:
            audio: a file, see :mod:`dualmode_runtime.audio.media`, or samples (samples,): floats in [-1, 1] or 16-bit
                integers.
            rate: of samples, Hz; files say theirs.  What is not 16 kHz is resampled.
            channel: of a file with several, counted from 1; None is the mean of all.
            max_utterance_ms: a longer recording is cut in its pauses, the first after 3 s, or where it is quietest.

        Raises:
            UserError: the file cannot be used, or samples or rate are impossible.
        """
        return transcribe_one(audio, self.recognise, rate, channel, max_utterance_ms)

    def recognise(self, parts: Sequence[Piece]) -> list[Result]:
        """Return the result of each piece of a recording, one after the other, heard 100 ms at a time."""
        device, results = self._model.stream(), []  # a stream of its own: other threads may ask, too
        for piece in parts:
            device.reset()
            for start in range(0, len(piece.samples), PIECE):
                device.accept_samples(piece.samples[start : start + PIECE])
            device.finish()
            results.append(Result(piece.start_ms, piece.end_ms, heard_by(device, self.subnet, piece.start_ms)))
        return results

    def stream(self, endpointing: Endpointing | None = None) -> "Stream":
        """Return a stream of its own, for audio as it arrives; streams share the weights, and run in any threads.

        Args:
            endpointing: where utterances end; None is only at :meth:`Stream.result`.
        """
        return Stream(self._model.stream(), self.subnet, endpointing)


class Stream:
    """Audio that arrives piece by piece; threads take turns.  Made by :meth:`Recognizer.stream`."""

    def __init__(self, device: Device, subnet: Subnet, endpointing: Endpointing | None = None):
        self._device, self.subnet = device, subnet
        self._lock = threading.Lock()  # the engine's memory breaks where two threads are in one stream
        self._rate: int | None = None  # of this audio
        self._said_rate = False
        if endpointing is not None:
            device.set_endpointing(endpointing.silence_ms, endpointing.max_lead_ms, endpointing.max_utterance_ms)

    def accept_waveform(self, samples: np.ndarray, rate: int) -> list[Result]:
        """Hear more audio; return the utterances that ended in it; mere silence is none.

        Args:
            samples: (samples,), any number of them: floats in [-1, 1] or 16-bit integers.
            rate: Hz; what is not 16 kHz is resampled by the engine, which is said once on standard error.

        Raises:
            UserError: the samples or the rate are impossible, or the rate changes within the audio.
        """
        arrived, ended = time.perf_counter(), []
        samples = to_float(samples)
        check_hertz(rate)
        with self._lock:
            if self._rate not in (None, rate):
                raise UserError(f"the sample rate changes from {self._rate} to {rate} Hz: call result() before")
            self._device.accept_samples(samples, rate)
            self._rate = rate if len(samples) else self._rate
            if not self._said_rate:
                self._said_rate = say_rate(rate)
            while said := self._device.endpoint:
                endpoint = Endpoint(said)
                if endpoint is not Endpoint.NOTHING_SAID:
                    ended.append(self._result(arrived, endpoint))
                self._device.next_utterance()
        return ended

    def partial(self) -> Transcript:
        """Return what is understood so far of the utterance that has not ended."""
        with self._lock:
            return Transcript(heard_words(self._device), self.subnet)

    def result(self) -> Result:
        """End the audio; return its last utterance, also one without words.  What is heard next is new audio."""
        arrived = time.perf_counter()
        with self._lock:
            self._device.finish()
            result = self._result(arrived, None)
            self._device.reset()
            self._rate = None
        return result

    def _result(self, arrived: float, endpoint: Endpoint | None) -> Result:
        heard = heard_by(self._device, self.subnet)
        transcript = replace(heard, latency_ms=1000 * (time.perf_counter() - arrived))
        return Result(self._device.start_ms, self._device.end_ms, transcript, endpoint=endpoint)


def subnet_of(info: Any) -> Subnet:
    """Return which sub-network a device file holds, by its header; its sparsity is a float of 32 bits there."""
    return Subnet(round(info.sparsity, 6), Context(info.chunk, info.left, info.right))


def heard_by(device, subnet: Subnet, start_ms: float = 0.0) -> Transcript:
    """Return what a device has heard of an utterance that has ended, see :func:`heard_words`."""
    words = heard_words(device, start_ms)
    return Transcript(words, subnet, nbest=(Alternative(words, None),))


def heard_words(device, start_ms: float = 0.0) -> tuple[Word, ...]:
    """Return the words of a device so far, with times as if its audio began at ``start_ms``."""

    def later(ms: float | None) -> float | None:
        return None if ms is None else start_ms + ms

    return tuple(
        Word(word.text, later(word.start_ms), later(word.stable_ms), later(word.end_ms)) for word in device.words
    )
