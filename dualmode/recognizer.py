"""Recognition with one sub-network, or with two in two passes: of files, and of audio that arrives piece by piece.

audio    |--chunk--|--chunk--|--chunk--|-silence-|                     second pass
sparse     "zero"    "zero o"  "zero one" ...  first_pass              off: it ends here
dense                                          `---- whole utterance --> second_pass
"""

import os
import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dualmode.asr.model import AsrModel
from dualmode.data.fbank import BINS, OnlineFbank, fbank
from dualmode.data.tokens import Tokenizer
from dualmode.decoding.decoder import Decoder
from dualmode.decoding.utterance import StreamedUtterance
from dualmode.errors import UserError
from dualmode.frames import EXTRA, FACTOR, FRAME_MS, SAMPLE_RATE
from dualmode.models.choice import check_trained
from dualmode.models.folder import ModelFolder
from dualmode.models.hub import fetch, is_on_hub
from dualmode.models.placement import CPU, find_device
from dualmode.search.config import SearchConfig
from dualmode.search.searcher import make_searcher
from dualmode.supernet.subnet import DENSE, Subnet
from dualmode_runtime.audio.pauses import Piece
from dualmode_runtime.audio.resample import Resampler, to_float
from dualmode_runtime.endpoint import Endpoint, Endpointing
from dualmode_runtime.recordings import MAX_UTTERANCE_MS, transcribe_one
from dualmode_runtime.transcript import Alternative, Result, Transcript


class Recognizer:
    """Recognises whole recordings, and audio piece by piece.

    >>> Recognizer.from_pretrained("exp/asr_base", subnet="dense").transcribe("speech.wav").text    # doctest: +SKIP
    >>> recognizer = Recognizer.from_pretrained("exp/asr_base", subnet="sparse")    # doctest: +SKIP
    >>> for piece in pieces_of_samples:                                             # doctest: +SKIP
    ...     recognizer.accept_waveform(piece, 16000)
    ...     print(recognizer.partial().text)
    >>> recognizer.result().text                                                    # doctest: +SKIP

    A sub-network of full context has no partial results.  Without endpointing all audio up to :meth:`result` is one
    utterance; its transcript grows, and so does the memory of a second pass or a full context (32 kB a second).

    Args:
        model: in evaluation mode; it runs on the device that it is on.
        tokenizer: of its vocabulary.
        subnet: which weights and context.
        second_pass: whether the dense sub-network recognises each finished utterance once more.
        search: how to search, in both passes.
        endpointing: where utterances end; None is only at :meth:`result`.
        run_as: how ``model`` is run to be ``subnet``: at sparsity 0 where its masks are multiplied in already.
        supernet: of the second pass, where ``model`` is the sub-network alone.

    Raises:
        UserError: the search does not fit the model; second pass or endpointing without chunks.
    """

    def __init__(
        self,
        model: AsrModel,
        tokenizer: Tokenizer,
        subnet: Subnet,
        second_pass: bool = False,
        search: SearchConfig | None = None,
        endpointing: Endpointing | None = None,
        run_as: Subnet | None = None,
        supernet: AsrModel | None = None,
    ):
        self.streaming = subnet.context.chunk is not None
        if not self.streaming and (second_pass or endpointing):
            what = "a second pass" if second_pass else "endpointing"
            raise UserError(
                f"{what} needs a streaming first pass, and this sub-network has the {subnet.context}: choose one with "
                "a chunk, or hear whole files (dualmode transcribe)"
            )
        self.model, self.tokenizer, self.subnet = model, tokenizer, subnet
        self.second_pass, self.endpointing = second_pass, endpointing
        search = search or SearchConfig()
        self._nbest = search.nbest
        searcher = make_searcher(model, tokenizer, search)
        self._decoder = Decoder(model, tokenizer, run_as or subnet, searcher)
        self._second_decoder = None
        if second_pass:
            second = searcher if supernet is None else make_searcher(supernet, tokenizer, search)
            self._second_decoder = Decoder(supernet or model, tokenizer, DENSE, second)
        self._keeps_features = second_pass or endpointing is not None or not self.streaming
        self._resampler: Resampler | None = None
        self._begin_audio()

    @classmethod
    def from_pretrained(
        cls,
        folder: str | os.PathLike,
        subnet: str | None = None,
        chunk_ms: float | None = None,
        left_ms: float | None = None,
        lookahead_ms: float | None = None,
        second_pass: bool = False,
        search: SearchConfig | None = None,
        endpointing: Endpointing | None = None,
        checkpoint: str | None = None,
        force: bool = False,
        right_ms: float | None = None,
        device: str = CPU,
        revision: str | None = None,
    ) -> "Recognizer":
        """Open a model folder of dualmode train.

        A second pass needs the supernet.  Where whole units are pruned, the first one has the smaller model of its own,
        a third more memory at 70 %, and takes half to three quarters of the time; otherwise both passes share the
        weights, and the mask is multiplied in for each chunk.

        Args:
            folder, checkpoint: see :meth:`dualmode.models.folder.ModelFolder.open`; or ``hf:USER/MODEL`` on the Hugging
                Face Hub (:mod:`dualmode.models.hub`).
            subnet, chunk_ms, left_ms, lookahead_ms: see :meth:`dualmode.models.folder.ModelFolder.choose`.
            second_pass, search, endpointing: see :class:`Recognizer`.
            force: also run a sub-network that was not trained.
            right_ms: the old name of ``lookahead_ms``, until version 0.3.
            device: where the model runs, "cpu", "cuda" or "cuda:N".
            revision: branch, tag or commit of a model on the Hub.

        Raises:
            UserError: something is missing, damaged or impossible.
        """
        if right_ms is not None:
            warnings.warn("right_ms is lookahead_ms now; the old name ends with version 0.3", DeprecationWarning, 2)
            lookahead_ms = right_ms
        place = find_device(device)
        where = fetch(str(folder), revision) if is_on_hub(str(folder)) else Path(folder)
        opened = ModelFolder.open(where, checkpoint)
        chosen = opened.choose(subnet, chunk_ms, left_ms, lookahead_ms)
        if not second_pass:
            loaded = opened.load(chosen, force)
            model = loaded.model.to(place)
            return cls(model, loaded.tokenizer, chosen, False, search, endpointing, loaded.run_as)
        if opened.one_subnet:
            raise UserError(f"{folder} holds one sub-network alone: a second pass needs the folder of the supernet")
        if chosen.sparsity and opened.encoder_config.pruning.granularity.leaves_smaller_model:
            alone, supernet = opened.load(chosen, force), opened.supernet().to(place)
            model = alone.model.to(place)
            return cls(model, alone.tokenizer, chosen, True, search, endpointing, alone.run_as, supernet)
        if not force:
            check_trained(opened.encoder_config, chosen)
        return cls(opened.supernet().to(place), opened.tokenizer, chosen, True, search, endpointing)

    def transcribe(
        self,
        audio: str | os.PathLike | np.ndarray,
        rate: int | None = None,
        channel: int | None = None,
        max_utterance_ms: float = MAX_UTTERANCE_MS,
    ) -> Result:
        """Return the transcript of a whole recording; what was heard piece by piece stays as it is.

        Args:
            audio: a file, see :mod:`dualmode_runtime.audio.media`, or samples (samples,): floats in [-1, 1] or 16-bit
                integers.
            rate: of samples, Hz; files say theirs.  What is not 16 kHz is resampled.
            channel: of a file with several, counted from 1; None is the mean of all.
            max_utterance_ms: a longer recording is cut in its pauses, the first after 3 s, or where it is quietest,
                so that memory stays bounded.

        Raises:
            UserError: the file cannot be used, or samples or rate are impossible.
        """
        return transcribe_one(audio, self.recognise, rate, channel, max_utterance_ms, self._nbest)

    def recognise(self, parts: Sequence[Piece]) -> list[Result]:
        """Return the result of each piece of a recording, all of them decoded in one batch."""
        features, spans = [fbank(piece.samples) for piece in parts], [(piece.start_ms, piece.end_ms) for piece in parts]
        passes = []
        for decoder, subnet in ((self._decoder, self.subnet), (self._second_decoder, DENSE)):
            found = decoder.alternatives(features, spans, self._nbest) if decoder else [None] * len(parts)
            passes.append(
                [None if nbest is None else Transcript(nbest[0].words, subnet, 0.0, nbest) for nbest in found]
            )
        return [Result(start, end, *both) for (start, end), *both in zip(spans, *passes, strict=True)]

    def accept_waveform(self, samples: np.ndarray, rate: int) -> list[Result]:
        """Hear more audio; return the utterances that ended in it; mere silence is none.

        Args:
            samples: (samples,), any number of them: floats in [-1, 1] or 16-bit integers.
            rate: Hz; what is not 16 kHz is resampled, which is said once an audio on standard error.

        Raises:
            UserError: the samples or the rate are impossible, or the rate changes within the audio.
        """
        arrived = time.perf_counter()
        samples = to_float(samples)
        if self._resampler is None:
            resampler = Resampler(rate)  # looks at the rate
            if not len(samples):  # which they leave open
                return []
            self._resampler = resampler
        if self._resampler.rate != rate:
            raise UserError(f"the sample rate changes from {self._resampler.rate} to {rate} Hz: call result() before")
        ended, waiting = [], deque(self._pieces(self._resampler.accept(samples)))
        while waiting:
            before = self._searched
            self._hear(waiting.popleft())
            # What is heard again behind an endpoint is not asked about again.
            if self._searched > before and (endpoint := self._endpoint()):
                if endpoint is not Endpoint.NOTHING_SAID:
                    end_ms = self._start_ms + FRAME_MS * self._utterance.frames
                    ended.append(self._finish(end_ms, arrived, endpoint))
                waiting.appendleft(self._next_utterance(endpoint))
        return ended

    def partial(self) -> Transcript:
        """Return what is understood so far of the utterance that has not ended."""
        return Transcript(self._utterance.words.partial() if self.streaming else (), self.subnet)

    def result(self) -> Result:
        """End the audio; return its last utterance, also one without words.  What is heard next is new audio."""
        arrived = time.perf_counter()
        rest = self._resampler.accept(np.zeros(0, np.float32), final=True) if self._resampler else np.zeros(0)
        for piece in self._pieces(rest, final=True):
            self._hear(piece)
        if self.streaming:
            self._utterance.accept(None, final=True)
        result = self._finish(1000 * self._samples / SAMPLE_RATE, arrived, None)
        self._begin_audio()
        return result

    def _begin_audio(self) -> None:
        self._resampler = None
        self._fbank, self._samples = OnlineFbank(), 0
        self._begin_utterance(0.0)

    def _begin_utterance(self, start_ms: float) -> None:
        self._start_ms = start_ms
        self._features: list[np.ndarray] = []
        self._utterance = None
        if self.streaming:
            decoder = self._decoder
            self._utterance = StreamedUtterance(self.model, decoder.run_as, decoder.searcher, self.tokenizer, start_ms)

    def _pieces(self, samples: np.ndarray, final: bool = False) -> Iterator[np.ndarray]:
        """Yield the features that became ready, of a chunk's length at most, so that no chunk's endpoint is missed."""
        self._samples += len(samples)
        self._fbank.accept_waveform(samples)
        if final:
            self._fbank.input_finished()
        features = self._fbank.take()
        step = FACTOR * self.subnet.context.chunk if self.streaming else max(len(features), 1)
        for start in range(0, len(features), step):
            yield features[start : start + step]

    @property
    def _searched(self) -> int:
        """Encoder frames of the utterance that were searched; 0 where all is heard at its end."""
        return self._utterance.frames if self.streaming else 0

    def _hear(self, features: np.ndarray) -> None:
        if self._keeps_features:
            self._features.append(features)
        if self.streaming:
            self._utterance.accept(features)

    def _endpoint(self) -> Endpoint | None:
        if self.endpointing is None:
            return None
        return self.endpointing.check(FRAME_MS * self._utterance.frames, self._utterance.words.last_token_ms)

    def _next_utterance(self, endpoint: Endpoint) -> np.ndarray:
        """Begin where the last one ended; where nothing was said, a little earlier: a word may just have begun.

        Hears again what the last chunk had heard, and returns what came behind that.
        """
        frames = self._utterance.frames
        heard = FACTOR * (frames + self.subnet.context.lookahead) + EXTRA
        if endpoint is Endpoint.NOTHING_SAID:
            frames -= min(self.subnet.context.chunk, frames // 2)
        features = np.concatenate(self._features)
        self._begin_utterance(self._start_ms + FRAME_MS * frames)
        self._hear(features[FACTOR * frames : heard])
        return features[heard:]

    def _finish(self, end_ms: float, arrived: float, endpoint: Endpoint | None) -> Result:
        if self.streaming:
            first = self._utterance.words.alternatives(end_ms, self._nbest)
        else:
            first = self._decode_whole(self._decoder, end_ms)
        first_pass, second_pass = self._transcript(first, self.subnet, arrived), None
        if self._second_decoder:
            second = self._decode_whole(self._second_decoder, end_ms)
            second_pass = self._transcript(second, DENSE, arrived)
        return Result(self._start_ms, end_ms, first_pass, second_pass, endpoint)

    def _decode_whole(self, decoder: Decoder, end_ms: float) -> tuple[Alternative, ...]:
        """Return the n-best list of the utterance's features up to ``end_ms``, all of it heard at once."""
        features = np.concatenate([np.zeros((0, BINS), np.float32), *self._features])
        if self.streaming:  # an endpoint lies between two frames, and more than those is known
            features = features[: FACTOR * self._utterance.frames + EXTRA]
        return decoder.alternatives([features], [(self._start_ms, end_ms)], self._nbest)[0]

    @staticmethod
    def _transcript(nbest: tuple[Alternative, ...], subnet: Subnet, arrived: float) -> Transcript:
        return Transcript(nbest[0].words, subnet, 1000 * (time.perf_counter() - arrived), nbest)
