"""One update of the weights: the batches of all processes count as one.

A batch's loss is a mean over its weight (utterances, or hidden frames).  Batches of an update differ in weight, between
processes and while gradients are accumulated, so the gradient of the update is::

    sum over batches and processes of weight * gradient(loss)
    ---------------------------------------------------------
          sum over batches and processes of weight

which does not depend on how the utterances were dealt out.  It is divided once, at the end, when the total is known.
What a pre-training has besides does, slightly: means over visible frames are weighted by hidden frames like the rest,
and how evenly codes are used is a figure of the batches of all processes, but not of those that are accumulated.
An update whose total is 0 is skipped, as is one whose gradient is not finite.
"""

import contextlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from espnet2.schedulers.abs_scheduler import AbsBatchStepScheduler
from espnet2.torch_utils.device_funcs import to_device
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dualmode.encoder.two_branch import TwoBranchModel
from dualmode.tasks.tally import Tally, Totals

LENGTHS = "speech_lengths"


@dataclass(frozen=True)
class Updater:
    """Makes updates.

    Args:
        model: or the DistributedDataParallel around it.
        optimizer, scheduler: of ESPnet; only a scheduler that counts updates is moved on.
        scaler: of mixed precision; None without.
        accumulated: batches of an update.
        clip, clip_type: largest norm of the gradient, and which norm.
        device: of the training.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: object | None = None
    scaler: torch.amp.GradScaler | None = None
    accumulated: int = 1
    clip: float = math.inf
    clip_type: float = 2.0
    device: torch.device = torch.device("cpu")

    @property
    def bare(self) -> TwoBranchModel:
        """The model itself."""
        return cast(TwoBranchModel, self.model.module if self.parallel else self.model)

    @property
    def parallel(self) -> bool:
        """Whether several processes train the model."""
        return isinstance(self.model, DistributedDataParallel)

    def _apart(self) -> contextlib.AbstractContextManager:
        """Return a context in which processes keep their gradients to themselves."""
        return self.model.no_sync() if isinstance(self.model, DistributedDataParallel) else contextlib.nullcontext()

    def update(
        self,
        batches: Iterable[tuple[Sequence[str], dict[str, Tensor]]],
        votes: Callable[[], Sequence[bool]] = lambda: (),
    ) -> tuple[Totals, str | None]:
        """Make one update of ``accumulated`` batches; all processes come here.

        Args:
            batches: names of the utterances, and tensors on the CPU.
            votes: says, after the last batch, what this process wants; Totals has how many processes want the same.

        Returns:
            what the batches said, and why the update was skipped, or None.
        """
        tally = Tally(self.device)
        for number, (names, batch) in enumerate(batches, start=1):
            self.bare.begins_update = number == 1
            self._learn(names, batch, tally, last=number == self.accumulated)
        total = tally.close(votes(), self.parallel)
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        totals = tally.read(self._finish_gradient(total))
        why = why_skipped(totals)
        self._step(skip=why is not None)
        return totals, why

    def _learn(self, names: Sequence[str], batch: dict[str, Tensor], tally: Tally, last: bool) -> None:
        """Add a batch's gradient, not yet divided, to what is there; processes meet in the last one."""
        frames = int(batch[LENGTHS].sum())  # before it leaves the CPU, so that nothing waits for the device
        batch = to_device(batch, self.device, non_blocking=True)
        with contextlib.nullcontext() if last else self._apart():
            with mixed_precision(self.device, self.scaler):
                loss, stats, weight = self.model(**batch, utt_id=names)
                loss = loss * weight.type(loss.dtype)
            (loss if self.scaler is None else self.scaler.scale(loss)).backward()
        tally.add(stats, weight, frames)

    def _finish_gradient(self, total: Tensor) -> Tensor:
        """Divide the gradient by the ``total`` weight () and clip it; return its norm before."""
        parameters = [parameter for parameter in self.model.parameters() if parameter.grad is not None]
        # DistributedDataParallel has divided the sum over the processes by their number.
        ranks = torch.distributed.get_world_size() if self.parallel else 1
        gradients = [parameter.grad for parameter in parameters]
        factor = torch.where(total > 0, ranks / total, 0.0).type(gradients[0].dtype)
        torch._foreach_mul_(gradients, factor)  # as clip_grad_norm_ multiplies: one kernel for many small tensors
        return nn.utils.clip_grad_norm_(parameters, self.clip, self.clip_type)

    def _step(self, skip: bool) -> None:
        if skip:
            self.bare.step -= 1  # it counts the updates that were made
            if self.scaler is not None:
                self.scaler.update()
        else:
            if self.scaler is None:
                self.optimizer.step()
            else:
                self.scaler.step(self.optimizer)
                self.scaler.update()
            if isinstance(self.scheduler, AbsBatchStepScheduler):
                self.scheduler.step()
        self.optimizer.zero_grad()


def mixed_precision(device: torch.device, scaler: torch.amp.GradScaler | None) -> torch.autocast:
    """Return ESPnet's mixed precision, where ``use_amp`` has made a scaler."""
    bf16 = device.type == "cpu" or torch.cuda.is_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16 if bf16 else torch.float16, enabled=scaler is not None)


def why_skipped(totals: Totals) -> str | None:
    """Return why an update must not be made, or None."""
    if totals.weight == 0:
        return "no utterance has anything to learn from (too short for a hidden span, or its loss was not finite)"
    if not math.isfinite(totals.grad_norm):
        return f"the norm of its gradient is {totals.grad_norm}"
    return None
