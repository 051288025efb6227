"""Comparing hidden frames with their distractors: one product and a gather of scores, against gathered copies."""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dualmode.bench.timing import interleaved
from dualmode.cli import at_least
from dualmode.pretrain.contrastive import contrastive_loss

COLUMNS = ("hidden_frames", "how", "ms", "peak_mb", "over_copies")
SCALE = 0.1
STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")  # of Linux


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=at_least(1), default=5, metavar="N", help="timed rounds; the median counts")
    parser.add_argument("--frames", type=at_least(1), nargs="+", default=[500, 2000], metavar="N", help="hidden frames")
    parser.add_argument("--size", type=at_least(1), default=256, metavar="N", help="of the vectors that are compared")
    parser.add_argument("--distractors", type=at_least(1), default=100, metavar="N", help="of each frame")


def by_copies(context: Tensor, targets: Tensor, codes: Tensor, distractors: Tensor) -> Tensor:
    """Return the losses (frames,) as :func:`contrastive_loss`, with a copy of every distractor's vector."""
    context, targets = F.normalize(context, dim=-1), F.normalize(targets, dim=-1)
    positive = (context * targets).sum(dim=-1, keepdim=True)
    negative = torch.einsum("fs,fcs->fc", context, targets[distractors])
    same = (codes[distractors] == codes[:, None]).all(dim=-1)
    logits = torch.cat([positive, negative.masked_fill(same, float("-inf"))], dim=1) / SCALE
    return F.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long), reduction="none")


def by_product(context: Tensor, targets: Tensor, codes: Tensor, distractors: Tensor) -> Tensor:
    return contrastive_loss(context, targets, codes, distractors, SCALE).losses


WAYS = {"copies": by_copies, "product": by_product}


def step(how: str, frames: int, size: int, count: int) -> None:
    """Run forward and backward on random vectors."""
    random = torch.Generator().manual_seed(0)
    context, targets = (torch.randn(frames, size, generator=random).requires_grad_() for _ in range(2))
    codes = torch.randint(320, (frames, 2), generator=random)
    distractors = torch.randint(frames, (frames, count), generator=random)
    WAYS[how](context, targets, codes, distractors).sum().backward()


def peak(function: Callable[[], object]) -> float:
    """Return the MB of memory that a call needs at its peak, on top of what the process has before it."""
    FORGET.write_text("5")  # the peak so far
    before = resident("VmRSS")
    function()
    return (resident("VmHWM") - before) / 1024


def resident(what: str) -> int:
    """Return the kilobytes that the process has in memory (VmRSS), or had at its peak (VmHWM)."""
    return next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith(what))


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for each number of frames and way; ``over_copies`` is its time over that of the copies."""
    rows = []
    for frames in args.frames:
        sizes = (frames, args.size, args.distractors)
        seconds = interleaved({how: partial(step, how, *sizes) for how in WAYS}, args.rounds)
        for how in WAYS:
            mb = peak(partial(step, how, *sizes))
            over = seconds[how] / seconds["copies"]
            row = {"hidden_frames": frames, "how": how, "ms": 1000 * seconds[how], "peak_mb": mb, "over_copies": over}
            rows.append(row)
    return rows
