"""Finding masks anew: seconds for a large encoder, by granularity, and its share of a training step."""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from dualmode.bench.encoder import millions, two_branches
from dualmode.bench.timing import interleaved
from dualmode.cli import at_least
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import DualModeEncoder, give_weights
from dualmode.supernet.pruning import estimate_masks

COLUMNS = ("what", "parameters_m", "ms", "share_of_step")
CHOICES: dict[str, dict[str, Any]] = {
    "blocks of 8x4": {"block": [8, 4]},
    "blocks of 16x4": {"block": [16, 4]},
    "unstructured": {"granularity": "unstructured"},
    "2:4": {"granularity": "n_of_m", "block": [1, 4], "sparsities": [0.5]},
    "units": {"granularity": "units"},
    "blocks of 8x4, global": {"block": [8, 4], "scope": "global"},
    "blocks of 8x4, four sparsities": {"block": [8, 4], "sparsities": [0.5, 0.7, 0.8, 0.9]},
}
INTERVAL = 50  # batches between two estimates in the recipes


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=at_least(1), default=5, metavar="N", help="timed rounds; the median counts")
    parser.add_argument("--blocks", type=at_least(1), default=17, metavar="N", help="Conformer blocks of width 512")
    parser.add_argument(
        "--audio-s", type=at_least(2.0), default=16, metavar="S", help="of the training step's batch, s"
    )


def measure(args: argparse.Namespace) -> list[dict]:
    """Return a row for each granularity, and one for a training step of the same encoder.

    ``share_of_step`` is the cost of an estimate every 50 batches, relative to a two-branch forward and backward pass.
    """
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"output_size": 512, "linear_units": 2048, "attention_heads": 8, "num_blocks": args.blocks}
    encoders = {name: DualModeEncoder(EncoderConfig(**sizes, **choice)) for name, choice in CHOICES.items()}
    shared = next(iter(encoders.values()))
    give_weights(shared)
    for encoder in encoders.values():  # the weights are the same
        for mine, theirs in zip(encoder.parameters(), shared.parameters(), strict=True):
            if mine.shape == theirs.shape:
                mine.data = theirs.data
    runs: dict[str, Callable[[], object]] = {
        name: partial(estimate_masks, encoder, encoder.config.pruning) for name, encoder in encoders.items()
    }
    frames = round(100 * args.audio_s / 4)
    features, lengths = torch.randn(4, frames, 80), torch.full((4,), frames)
    runs["training step"] = lambda: two_branches(shared, features, lengths).backward()
    seconds = interleaved(runs, args.rounds)
    return [
        {
            "what": name,
            "parameters_m": millions(shared),
            "ms": 1000 * value,
            "share_of_step": None if name == "training step" else value / INTERVAL / seconds["training step"],
        }
        for name, value in seconds.items()
    ]
