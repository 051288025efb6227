"""A batch of utterances, whole or as streams that run chunk by chunk side by side, through one search each."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from dualmode.asr.model import Recogniser
from dualmode.decoding.greedy import pad
from dualmode.decoding.search import Search
from dualmode.encoder.frames import FACTOR
from dualmode.encoder.streaming import StreamingEncoder
from dualmode.supernet.subnet import Subnet


@torch.inference_mode()
def search_offline(
    model: Recogniser, utterances: Sequence[np.ndarray], subnet: Subnet, make_search: Callable[[], Search]
) -> list[Search]:
    """Return a finished search for each utterance (frames of 10 ms, bins), encoded in one batch."""
    features, lengths = pad(utterances)
    encoded, frames = model.encoder.embed(features, lengths)
    encoded = model.encoder.encode(encoded, frames, subnet)
    searches = [make_search() for _ in utterances]
    for search, row, count in zip(searches, encoded, frames.tolist(), strict=True):
        search.accept(row[:count])
    return searches


def search_streams(
    model: Recogniser, utterances: Sequence[np.ndarray], subnet: Subnet, make_search: Callable[[], Search]
) -> list[Search]:
    """As :func:`search_offline`, but each utterance is a stream fed a chunk's worth of features at a time."""
    encoder = StreamingEncoder(model.encoder, subnet, len(utterances))
    searches = [make_search() for _ in utterances]
    step = FACTOR * subnet.context.chunk
    for start in range(0, max(map(len, utterances)), step):
        pieces = [torch.tensor(x[start : start + step]) if start < len(x) else None for x in utterances]
        final = [start < len(x) <= start + step for x in utterances]
        for search, encoded in zip(searches, encoder.accept(pieces, final), strict=True):
            search.accept(encoded)
    return searches
