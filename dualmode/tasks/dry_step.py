"""Does the largest batch fit into the memory of the GPU?  Tried before the first update, not found out after hours.

A dry step runs forward and backward on real batches, of all that an update may draw as what needs most, with room set
aside for what the optimizer will keep, and leaves nothing behind: weights, masks, statistics, counts and random numbers
are what they were.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from espnet2.torch_utils.device_funcs import to_device
from torch.utils.data import DataLoader

from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.two_branch import TwoBranchModel
from dualmode.errors import UserError
from dualmode.tasks.optimise import mixed_precision
from dualmode.tasks.step_checkpoint import random_states, set_random_states
from dualmode.tasks.windowed import WindowedBatches
from dualmode_runtime.tables import iterate_table

Key = TypeVar("Key", str, int)  # what names an utterance: its id, or its number in an index
Frames = Mapping[Any, int] | np.ndarray
LATE = 10**9  # an update by which every weight of a loss has grown to its full size
GIB = 2**30
COUNTS = ("step", "begins_update", "skipped")  # of a model, besides its buffers


@dataclass(frozen=True)
class Size:
    """Of a batch: its utterances, and the feature frames of 10 ms of the longest one."""

    utterances: int
    longest: int

    @property
    def padded(self) -> int:
        """Feature frames of the whole batch, padding counted."""
        return self.utterances * self.longest

    def __str__(self) -> str:
        return f"{self.utterances} utterance{'s' * (self.utterances > 1)} of up to {self.longest / 100:.1f} s"


def frames_of(shape_file: Path) -> dict[str, int]:
    """Return the feature frames of each utterance."""
    return {name: int(shape.partition(",")[0]) for name, shape in iterate_table(shape_file)}


def largest(batches: Iterable[Sequence[Key]], frames: Frames) -> list[tuple[list[Key], Size]]:
    """Return the batch that is largest with its padding, and the one with the longest utterance.

    The first needs most for what grows with frames, the second for what grows faster: attention, and the lattice of an
    RNN-T.

    >>> frames = {"a": 10, "b": 9, "c": 30}
    >>> [names for names, _ in largest([["a"], ["a", "b", "b", "b"], ["c"]], frames)]
    [['a', 'b', 'b', 'b'], ['c']]
    """
    sized = [(list(names), Size(len(names), max(int(frames[name]) for name in names))) for names in batches]
    return [max(sized, key=lambda one: one[1].padded), max(sized, key=lambda one: (one[1].longest, one[1].padded))]


def heaviest(config: EncoderConfig) -> EncoderConfig:
    """Return the configuration that draws only what needs most memory: all blocks, the fewest pruned weights, and the
    context that sees most frames for each of its own.

    >>> drawn = heaviest(EncoderConfig(chunk_ms=[640, 320, None], left_ms=[1280, 2560], layer_drop_rate=0.1))
    >>> drawn.chunk_ms, drawn.left_ms, drawn.layer_drop_rate
    ((320,), (2560,), 0.0)
    """
    return replace(
        config,
        layer_drop_rate=0.0,
        sparsities=config.sparsities[:1],
        chunk_ms=(min(chunk for chunk in config.chunk_ms if chunk is not None),),
        left_ms=(max(config.left_ms),),
        lookahead_ms=(max(config.lookahead_ms),),
    )


def dry_step(
    model: TwoBranchModel,
    optimizer: torch.optim.Optimizer,
    batches: DataLoader,
    frames: Frames,
    device: torch.device,
    batch_bins: int,
    scaler: torch.amp.GradScaler | None = None,
    accumulated: int = 1,
) -> str:
    """Run forward and backward on the largest batches of ``batches``; return their sizes and the GPU's peak of memory.

    All processes of a training come here: their models exchange numbers in the forward pass.

    Args:
        model: in training mode, without its DistributedDataParallel.
        optimizer: of its weights; has made no step, or some.
        batches: of an epoch.
        frames: feature frames of each utterance, as the loader names them.
        device: of the model.
        batch_bins: for the message.
        scaler: of mixed precision; None without.
        accumulated: batches of an update; of several, the later ones find the gradients of the first.

    Raises:
        UserError: they do not fit into the memory; says which key to turn.
    """
    sampler = batches.batch_sampler
    tried = largest(sampler.listed() if isinstance(sampler, WindowedBatches) else sampler, frames)
    size = tried[0][1]
    random = random_states()
    buffers = {name: buffer.detach().to("cpu", copy=True) for name, buffer in model.named_buffers()}
    kept = {name: getattr(model, name) for name in COUNTS if hasattr(model, name)}
    config = model.encoder.config
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    try:
        model.begins_update = False  # no masks are found
        model.encoder.config = heaviest(config)
        copies = states_to_come(optimizer) + (accumulated > 1)
        room = [torch.empty_like(weight) for weight in model.parameters() for _ in range(copies)]
        turns = range(LATE, LATE + 1 + model.branches.in_turn)
        for (names, tried_now), model.step in product(tried, turns):
            size = tried_now
            loader = DataLoader(batches.dataset, batch_sampler=[names], collate_fn=batches.collate_fn)
            ((utterances, batch),) = loader
            with mixed_precision(device, scaler):
                loss, _, _ = model(**to_device(batch, device), utt_id=utterances)
            loss.backward()
            optimizer.zero_grad()
            del loss, batch
        del room
    except torch.OutOfMemoryError:
        raise UserError(too_large(size, batch_bins, device)) from None
    finally:
        optimizer.zero_grad()
        model.encoder.config = config
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
        for name, value in kept.items():
            setattr(model, name, value)
        set_random_states(random)
    text = " and ".join(dict.fromkeys(str(size) for _, size in tried))
    if on_gpu:
        peak, there = torch.cuda.max_memory_allocated(device) / GIB, torch.cuda.mem_get_info(device)[1] / GIB
        text += f": peak {peak:.1f} GiB of the {there:.1f} GiB of {torch.cuda.get_device_name(device)}"
        torch.cuda.empty_cache()
    return f"dry step on the largest batches, {text}"


def states_to_come(optimizer: torch.optim.Optimizer) -> int:
    """Return how many values a weight the optimizer has yet to set aside: two for the Adams, which have two betas."""
    return 0 if optimizer.state else len(optimizer.defaults.get("betas", ()))


def too_large(size: Size, batch_bins: int, device: torch.device) -> str:
    """Return which key to turn for a batch of ``size`` that does not fit."""
    where = f"the memory of {torch.cuda.get_device_name(device)}" if device.type == "cuda" else "the memory"
    return (
        f"a batch of {size} does not fit into {where}: lower batch_bins ({batch_bins} now, of all GPUs together; with "
        "reference_batch_h a higher accum_grad keeps the updates as large), or set gradient_checkpointing: true in "
        "encoder_conf"
    )
