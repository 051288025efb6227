"""A training command that kills its own process at a given batch; a module, so that another process can import it."""

import hashlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import torch

ACCUMULATED = 2  # batches of an update, as test_resume has it


def train(
    kind: str, root: Path, out: Path, kill_at: int | None, more: Sequence[str] = (), number: int = signal.SIGKILL
) -> None:
    """Run the training command in this process, which sends itself a signal in the forward pass of batch ``kill_at``;
    -1 is the first one of a validation.

    Writes a digest of the masks that each batch ran with to ``out``/masks_PROCESS.
    """
    from dualmode.bin import asr_train, pretrain
    from dualmode.encoder.two_branch import TwoBranchModel
    from dualmode.supernet.masked_linear import prunable

    torch.set_num_threads(1)
    begin = TwoBranchModel.begin_batch
    validated = 0

    def begin_or_die(model):
        nonlocal validated
        stats = begin(model)
        validated += not model.training
        if not model.training and -validated == kill_at:
            os.kill(os.getpid(), number)
        if model.training:
            masks = b"".join(layer.masks.numpy().tobytes() for _, layer in prunable(model.encoder))
            with open(out / f"masks_{os.getpid()}", "a") as digests:
                digests.write(f"{model.step} {hashlib.sha256(masks).hexdigest()} {torch.initial_seed()}\n")
        if model.training and ACCUMULATED * model.step - model.begins_update == kill_at:
            os.kill(os.getpid(), number)
        return stats

    TwoBranchModel.begin_batch = begin_or_die
    words = ["--config", root / f"{kind}.yaml", "--train", root / "data", "--valid", root / "data"]
    words += ["--cmvn", root / "cmvn.json", "--out", out]
    if kind == "asr":
        words += ["--tokens", root / "tokens"]
    {"asr": asr_train, "pretrain": pretrain}[kind].main([*map(str, words), *more])
