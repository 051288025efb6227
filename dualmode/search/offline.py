"""Whole utterances, decoded in one batch."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dualmode.asr.model import AsrModel
from dualmode.search.search import Search
from dualmode.search.searcher import Searcher
from dualmode.supernet.subnet import Subnet


def pad(utterances: Sequence[np.ndarray], device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Stack features (frames, bins) of several utterances into (batch, frames, bins), with their lengths (batch,)."""
    tensors = [torch.tensor(features, device="cpu") for features in utterances]  # a copy: archives are read-only
    lengths = torch.tensor([len(features) for features in tensors], device=device)
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True).to(device), lengths


@torch.inference_mode()
def decode_offline(
    model: AsrModel, utterances: Sequence[np.ndarray], subnet: Subnet, searcher: Searcher, bf16: bool = False
) -> list[Search]:
    """Return the finished search of each utterance.

    Args:
        model: in evaluation mode; its device is where the utterances are encoded.
        utterances: features of each, (frames of 10 ms, bins).
        subnet: which weights and context; chunks are run by the masked parallel pass.
        searcher: greedy or beam.
        bf16: multiply the encoder's matrices in bfloat16: faster where the processor has instructions for it, and a few
            transcripts may differ.
    """
    device = model.encoder.normalize.mean.device
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        encoded, frames = model.encoder(*pad(utterances, device), subnet)
    inputs = searcher.inputs(encoded.float())
    searches = [searcher.start() for _ in utterances]
    searcher.accept(searches, [row[:count] for row, count in zip(inputs, frames.tolist(), strict=True)])
    return searches
