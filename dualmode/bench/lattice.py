"""The lattice of an RNN-T, forward and backward, by how many cells have their distributions in memory at a time."""

import argparse
import time
from functools import partial
from typing import Any

import torch

from dualmode.asr.transducer.joiner import Joiner
from dualmode.asr.transducer.lattice import make_lattice
from dualmode.bench.distractors import peak
from dualmode.bench.timing import interleaved
from dualmode.cli import at_least
from dualmode.frames import FRAME_MS

COLUMNS = ("cells", "max_cells", "cpu_ms", "peak_mb", "over_whole")
SHARES = (1, 4, 8)  # of the lattice at a time: all of it, a quarter, an eighth
TOKENS_PER_S = 4


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=at_least(1), default=3, metavar="N", help="timed rounds; the median counts")
    parser.add_argument("--utterances", type=at_least(1), default=4, metavar="N", help="of a batch")
    parser.add_argument("--utterance-s", type=at_least(0.5), default=15, metavar="S", help="length of each, s")
    parser.add_argument("--joiner-size", type=at_least(1), default=512, metavar="N", help="width of joiner and encoder")
    parser.add_argument("--vocabulary", type=at_least(2), default=1000, metavar="N", help="tokens")


def step(shape: tuple[int, int, int], size: int, vocabulary: int, max_cells: int) -> None:
    """Run forward and backward over (utterances, frames, rows) of random vectors."""
    torch.manual_seed(0)
    batch, frames, rows = shape
    encoded, predicted = (torch.randn(batch, length, size, requires_grad=True) for length in (frames, rows))
    targets = torch.randint(1, vocabulary, (batch, rows - 1))
    joiner, tokens = Joiner(size, size, size, vocabulary), torch.full((batch,), rows - 1)
    make_lattice(joiner, encoded, predicted, targets, tokens, max_cells).log_probs.square().mean().backward()


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for each bound, in time of the processor; ``over_whole`` is in that of the whole lattice."""
    frames, rows = round(1000 * args.utterance_s / FRAME_MS), round(TOKENS_PER_S * args.utterance_s) + 1
    shape = args.utterances, frames, rows
    cells = args.utterances * frames * rows
    steps = {-(-cells // share): partial(step, shape, args.joiner_size, args.vocabulary) for share in SHARES}
    steps = {bound: partial(one, bound) for bound, one in steps.items()}
    seconds = interleaved(steps, args.rounds, time.process_time)
    return [
        {
            "cells": cells,
            "max_cells": bound,
            "cpu_ms": 1000 * seconds[bound],
            "peak_mb": peak(one),
            "over_whole": seconds[bound] / seconds[cells],
        }
        for bound, one in steps.items()
    ]
