"""Greedy CTC decoding, of whole utterances and of streams."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dualmode.asr.ctc import BLANK, collapse, greedy
from dualmode.asr.model import Recogniser
from dualmode.encoder.frames import FACTOR
from dualmode.encoder.streaming import StreamingEncoder
from dualmode.supernet.subnet import Subnet


def pad(utterances: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Stack features (frames, bins) of several utterances into (batch, frames, bins), with their lengths (batch,)."""
    tensors = [torch.tensor(features) for features in utterances]  # a copy: archives are read-only
    lengths = torch.tensor([len(features) for features in tensors])
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True), lengths


@torch.inference_mode()
def decode_offline(model: Recogniser, utterances: Sequence[np.ndarray], subnet: Subnet) -> list[list[int]]:
    """Return the tokens of whole utterances, decoded in one batch.

    Args:
        model: in evaluation mode.
        utterances: features of each, (frames of 10 ms, bins).
        subnet: which weights and context; chunks are run by the masked parallel pass.
    """
    features, lengths = pad(utterances)
    encoded, frames = model.encoder.embed(features, lengths)
    encoded = model.encoder.encode(encoded, frames, subnet)
    return greedy(model.posteriors(encoded), frames)


class StreamDecoder:
    """Decodes one utterance chunk by chunk, with caches of a fixed size.

    >>> decoder = StreamDecoder(model, Subnet(0.7, Context(16, 32)))        # doctest: +SKIP
    >>> for piece in pieces_of_features:                                    # doctest: +SKIP
    ...     new_tokens = decoder.accept(piece)
    >>> last_tokens = decoder.accept(last_piece, final=True)                # doctest: +SKIP
    """

    def __init__(self, model: Recogniser, subnet: Subnet):
        self.model = model
        self._encoder = StreamingEncoder(model.encoder, subnet)
        self._previous = BLANK

    def accept(self, features: np.ndarray, final: bool = False) -> list[int]:
        """Take more features (frames of 10 ms, bins), of any number; return the tokens that are new.

        ``final`` ends the utterance: its last, shorter chunk is decoded, and the decoder is used up.
        """
        [encoded] = self._encoder.accept([torch.tensor(features)], [final])
        if not len(encoded):
            return []
        with torch.inference_mode():
            best = self.model.posteriors(encoded).argmax(dim=-1).tolist()
        tokens = collapse(best, self._previous)
        self._previous = best[-1]
        return tokens


def decode_stream(model: Recogniser, features: np.ndarray, subnet: Subnet) -> list[int]:
    """Return the tokens of one utterance, fed to a :class:`StreamDecoder` a chunk's worth of features at a time."""
    decoder = StreamDecoder(model, subnet)
    step = FACTOR * subnet.context.chunk
    tokens = []
    for start in range(0, len(features), step):
        tokens += decoder.accept(features[start : start + step], final=start + step >= len(features))
    return tokens
