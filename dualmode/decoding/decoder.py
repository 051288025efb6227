"""One sub-network with one search: the road that every decoding of whole utterances takes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dualmode.asr.model import AsrModel
from dualmode.data.tokens import Tokenizer
from dualmode.decoding.utterance import HeardWords
from dualmode.models.loaded import LoadedModel
from dualmode.search.config import SearchConfig
from dualmode.search.offline import decode_offline
from dualmode.search.search import Search
from dualmode.search.searcher import Searcher, make_searcher
from dualmode.search.stream import StreamDecoder, chunk_by_chunk, decode_streams
from dualmode.supernet.subnet import Subnet
from dualmode_runtime.transcript import Alternative


@dataclass(frozen=True)
class Decoder:
    """Decodes batches of utterances: whole in the full context, else chunk by chunk with caches.

    Attributes:
        model: in evaluation mode.
        tokenizer: of its vocabulary.
        run_as: what ``model`` is run as; see :attr:`dualmode.models.loaded.LoadedModel.run_as`.
        searcher: greedy or beam.
        bf16: see :func:`dualmode.search.offline.decode_offline`.
    """

    model: AsrModel
    tokenizer: Tokenizer
    run_as: Subnet
    searcher: Searcher
    bf16: bool = False

    @classmethod
    def of(cls, loaded: LoadedModel, config: SearchConfig, bf16: bool = False) -> "Decoder":
        """Return the decoder of a loaded model; a search that does not fit it is a UserError."""
        searcher = make_searcher(loaded.model, loaded.tokenizer, config)
        return cls(loaded.model, loaded.tokenizer, loaded.run_as, searcher, bf16)

    def searches(self, utterances: Sequence[np.ndarray]) -> list[Search]:
        """Return the finished search of each utterance (frames of 10 ms, bins)."""
        if self.run_as.context.chunk is None:
            return decode_offline(self.model, utterances, self.run_as, self.searcher, self.bf16)
        return decode_streams(self.model, utterances, self.run_as, self.searcher)

    def alternatives(
        self, utterances: Sequence[np.ndarray], spans_ms: Sequence[tuple[float, float]], nbest: int = 1
    ) -> list[tuple[Alternative, ...]]:
        """Return the n-best list of each utterance, in words.

        Args:
            utterances: features of each, (frames of 10 ms, bins).
            spans_ms: where in the audio each begins and ends.
            nbest: entries of the list.
        """
        if self.run_as.context.chunk is None:
            heard = self._heard(self.searches(utterances), spans_ms)
        else:
            decoder = StreamDecoder(self.model, self.run_as, self.searcher, len(utterances))
            heard = self._heard(decoder.searches, spans_ms)
            for _ in chunk_by_chunk(decoder, utterances, self.run_as):
                for words in heard:
                    words.update()
        return [words.alternatives(end, nbest) for words, (_, end) in zip(heard, spans_ms, strict=True)]

    def _heard(self, searches: Sequence[Search], spans_ms: Sequence[tuple[float, float]]) -> list[HeardWords]:
        return [
            HeardWords(search, self.run_as.context, self.tokenizer, start)
            for search, (start, _) in zip(searches, spans_ms, strict=True)
        ]
