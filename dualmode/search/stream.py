"""Streams, decoded chunk by chunk with caches of a fixed size, many in one batch."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from dualmode.asr.model import AsrModel
from dualmode.encoder.streaming import StreamingEncoder
from dualmode.frames import FACTOR
from dualmode.search.search import Search
from dualmode.search.searcher import Searcher
from dualmode.supernet.subnet import Subnet


class StreamDecoder:
    """Decodes streams side by side; each may be fed and end at its own times.

    >>> decoder = StreamDecoder(model, Subnet(0.7, Context(16, 32)), searcher)   # doctest: +SKIP
    >>> for piece in pieces_of_features:                                         # doctest: +SKIP
    ...     decoder.accept([piece])
    ...     print(decoder.searches[0].best()[0].tokens)
    >>> decoder.accept([last_piece], final=[True])                               # doctest: +SKIP

    Args:
        model: in evaluation mode.
        subnet: which weights and context, for all streams.
        searcher: greedy or beam.
        streams: how many.

    Attributes:
        searches: of each stream, with what it has found so far.

    Raises:
        UserError: the context cannot be streamed.
    """

    def __init__(self, model: AsrModel, subnet: Subnet, searcher: Searcher, streams: int = 1):
        self._encoder = StreamingEncoder(model.encoder, subnet, streams)
        self._searcher = searcher
        self.searches: list[Search] = [searcher.start() for _ in range(streams)]

    @torch.inference_mode()
    def accept(self, pieces: Sequence[np.ndarray | None], final: Sequence[bool] | None = None) -> None:
        """Hear more, and search every chunk that is complete.

        Args:
            pieces: for each stream, features (frames of 10 ms, bins) of any number, or None.
            final: for each stream, whether it ends here, so that its last, shorter chunk is decoded as well.
        """
        features = [None if piece is None else torch.tensor(piece, device="cpu") for piece in pieces]
        encoded = self._encoder.accept(features, final)
        inputs = self._searcher.inputs(torch.cat(encoded)).split([len(frames) for frames in encoded])
        self._searcher.accept(self.searches, inputs)


def decode_streams(
    model: AsrModel, utterances: Sequence[np.ndarray], subnet: Subnet, searcher: Searcher
) -> list[Search]:
    """As :func:`dualmode.search.offline.decode_offline`, each utterance a stream, fed a chunk's worth at a time."""
    decoder = StreamDecoder(model, subnet, searcher, len(utterances))
    for _ in chunk_by_chunk(decoder, utterances, subnet):
        pass
    return decoder.searches


def chunk_by_chunk(decoder: StreamDecoder, utterances: Sequence[np.ndarray], subnet: Subnet) -> Iterator[None]:
    """Feed each stream of ``decoder`` its utterance (frames, bins), and yield after every chunk."""
    step = FACTOR * subnet.context.chunk
    for start in range(0, max(map(len, utterances)), step):
        pieces = [x[start : start + step] if start < len(x) else None for x in utterances]
        final = [start < len(x) <= start + step for x in utterances]
        decoder.accept(pieces)
        yield
        if any(final):
            decoder.accept([None] * len(utterances), final)
            yield
