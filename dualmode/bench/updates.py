"""Whole updates of both trainings: losses, backward pass and optimizer, beside one pass of ESPnet's encoder."""

import argparse
import itertools
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from dualmode.asr.build import build_asr_model
from dualmode.bench.encoder import SIZES, SPARSITY, build, build_espnet, one_pass, step
from dualmode.bench.timing import interleaved, use_device
from dualmode.cli import at_least
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.encoder.two_branch import BACKWARDS, BranchWeights, TwoBranchModel
from dualmode.frames import FACTOR
from dualmode.pretrain.config import read_config
from dualmode.pretrain.model import PretrainModel
from dualmode.supernet.pruning import PruningSchedule

COLUMNS = (
    *("size", "device", "what", "backward", "precision", "utterance_s", "audio_s"),
    *("espnet_ms", "ms", "ratio", "held_mb"),
)
VOCABULARY, TOKENS_PER_S = 500, 4
RNNT = {"kind": "rnnt", "distill_weight": 0.5, "transducer": {"ctc_weight": 0.5}}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=at_least(1), default=5, metavar="N", help="timed rounds; the median counts")
    parser.add_argument(
        "--sizes",
        nargs="+",
        choices=SIZES,
        default=["144x6"],
        metavar="SIZE",
        help=f"width x blocks: of {', '.join(SIZES)}",
    )
    parser.add_argument(
        "--utterance-s", nargs="+", type=at_least(0.5), default=[4, 15], metavar="S", help="length of the utterances, s"
    )
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda or cuda:N")


def measure(args: argparse.Namespace) -> list[dict]:
    """Return a row for each training and each way of its backward pass.

    ``ratio`` is the update's price in passes (forward and backward) of ESPnet's encoder, ``held_mb`` what the backward
    passes wait for at most, without weights.
    """
    use_device(args.device)
    return [
        row
        for size, seconds_each in itertools.product(args.sizes, args.utterance_s)
        for row in rows_of(size, seconds_each, args.device, args.rounds)
    ]


def rows_of(size: str, seconds_each: float, device: str, rounds: int) -> Iterator[dict]:
    """Yield the rows of one size; on a CPU four utterances a batch, on a GPU twelve minutes of audio."""
    torch.manual_seed(0)
    count, frames = 4 if device == "cpu" else round(720 / seconds_each), round(100 * seconds_each)
    speech, lengths = torch.randn(count, frames, 80, device=device), torch.full((count,), frames, device=device)
    tokens = min(round(TOKENS_PER_S * seconds_each), frames // FACTOR // 2)
    text = torch.randint(2, VOCABULARY, (count, tokens), device=device)
    batch = {"speech": speech, "speech_lengths": lengths}
    labelled = batch | {"text": text, "text_lengths": torch.full((count,), tokens, device=device)}
    updates: dict[tuple[str, str], Callable[[], None]] = {}
    held: dict[tuple[str, str], float] = {}
    for backward in BACKWARDS:
        for what, model, inputs in (
            ("RNN-T and CTC", recogniser(build(size), backward), labelled),
            ("pre-training", pretraining(build(size), backward), batch),
        ):
            model = model.to(device).train()
            held[what, backward] = held_mb(model, inputs)
            optimizer = torch.optim.AdamW(model.parameters(), fused=device != "cpu")
            updates[what, backward] = partial(update, model, inputs, optimizer)
    espnet = partial(step, partial(one_pass, build_espnet(size).to(device)), speech, lengths, False)
    seconds = interleaved({("espnet", ""): espnet, **updates}, rounds)
    machine = "cpu" if device == "cpu" else torch.cuda.get_device_name()
    for (what, backward), mb in held.items():
        ms, espnet_ms = 1000 * seconds[what, backward], 1000 * seconds["espnet", ""]
        row: dict[str, Any] = {"size": size, "device": machine, "what": what, "backward": backward, "precision": "fp32"}
        row |= {"utterance_s": seconds_each, "audio_s": count * seconds_each, "sparsity": SPARSITY}
        yield row | {"espnet_ms": espnet_ms, "ms": ms, "ratio": ms / espnet_ms, "held_mb": mb}


def recogniser(encoder: DualModeEncoder, backward: str) -> TwoBranchModel:
    conf = {"branch_conf": {"backward": backward}, "model_conf": RNNT}
    return build_asr_model(conf, ["<blank>", *(f"token{number}" for number in range(1, VOCABULARY))], encoder)


def pretraining(encoder: DualModeEncoder, backward: str) -> TwoBranchModel:
    return PretrainModel(encoder, read_config({}), PruningSchedule(), BranchWeights(backward=backward))


def update(model: TwoBranchModel, batch: dict[str, torch.Tensor], optimizer: torch.optim.Optimizer) -> None:
    """Run one update."""
    optimizer.zero_grad()
    loss, *_ = model(**batch)
    loss.backward()
    optimizer.step()


class Held:
    """A tensor that a backward pass waits for."""

    def __init__(self, tensor: torch.Tensor):
        self.tensor = tensor


def held_mb(model: TwoBranchModel, batch: dict[str, torch.Tensor]) -> float:
    """Return the largest sum, in MB, of the memory that backward passes wait for in one batch, weights left out."""
    users: dict[int, int] = {}  # of each piece of memory, by where it begins
    sizes = {parameter.untyped_storage().data_ptr(): 0 for parameter in model.parameters()}
    now = most = 0

    def pack(tensor: torch.Tensor) -> Held:
        nonlocal now, most
        storage, holder = tensor.untyped_storage(), Held(tensor)
        start, size = storage.data_ptr(), sizes.get(storage.data_ptr(), storage.nbytes())
        if users.get(start, 0) == 0:
            now += size
            most = max(most, now)
        users[start] = users.get(start, 0) + 1
        weakref.finalize(holder, free, start, size)
        return holder

    def free(start: int, size: int) -> None:
        nonlocal now
        users[start] -= 1
        if users[start] == 0:
            now -= size

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda holder: holder.tensor):
        loss, *_ = model(**batch)
    loss.backward()
    model.zero_grad()
    return most / 1e6
