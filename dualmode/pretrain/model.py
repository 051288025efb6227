"""Masked pre-training of the supernet: one set of targets, two branches."""

import contextlib
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualmode.encoder.conformer import DualModeEncoder, nothing_of
from dualmode.encoder.padding import valid_frames
from dualmode.encoder.two_branch import Branch, BranchWeights, Judgement, TwoBranchModel
from dualmode.frames import FACTOR, subsampled
from dualmode.pretrain.best_rq import BestRqTargets
from dualmode.pretrain.config import BestRqConfig, ContrastiveConfig
from dualmode.pretrain.contrastive import ContrastiveTargets
from dualmode.pretrain.masking import at_edges, features_under, fixed_draws, span_mask
from dualmode.supernet.precision import at_least_float32
from dualmode.supernet.pruning import PruningSchedule


def mean_over(values: Tensor, chosen: Tensor) -> Tensor:
    """Return the mean () of the values (any shape) where ``chosen``, of the same shape, is true; 0 of none.

    >>> mean_over(torch.tensor([1.0, 5.0, 3.0]), torch.tensor([True, False, True]))
    tensor(2.)
    """
    return (values * chosen).sum() / chosen.sum().clamp(min=1)


TARGETS = {ContrastiveConfig: ContrastiveTargets, BestRqConfig: BestRqTargets}


class PretrainModel(TwoBranchModel):
    """Both branches see the same hidden frames and must tell the same targets::

        features -+-> stack 4 frames --------------------------------------------------> targets
                  +-> hide under spans -> subsampling -> mark spans -+-> dense,  full  --> answer
                                                                     +-> sparse, chunk --> answer

    The loss is that of the hidden frames, plus ``visible_weight`` times that of the others.

    Args:
        encoder: the supernet.
        config: its class chooses the kind of targets.
        schedule: of the masks.
        branches: weights of the branches' losses, and which batches run which branch.
    """

    def __init__(
        self,
        encoder: DualModeEncoder,
        config: ContrastiveConfig | BestRqConfig,
        schedule: PruningSchedule,
        branches: BranchWeights,
    ):
        super().__init__(encoder, schedule, branches)
        self.config = config
        size, stacked = encoder.config.output_size, FACTOR * encoder.config.input_size
        self.hidden_frame = nn.Parameter(torch.empty(size).uniform_())
        self.targets = TARGETS[type(config)](size, stacked, config)

    def stack(self, speech: Tensor, frames: int) -> Tensor:
        """Return the four middle ones of the seven feature frames that each encoder frame sees, normalised.

        Args:
            speech: (batch, feature frames of 10 ms, bins).
            frames: encoder frames of 40 ms.

        Returns:
            (batch, frames, 4 * bins)
        """
        middle = self.encoder.normalize(speech)[:, 2 : 2 + FACTOR * frames]
        missing = FACTOR * frames - middle.shape[1]
        return F.pad(middle, (0, 0, 0, missing)).reshape(len(speech), frames, -1)

    def parts(self) -> dict[str, float]:
        """Return which frames have to be told, by the prefix of their values' names, and the weight of their loss."""
        visible = self.config.visible_weight
        return {"": 1.0, **({"visible_": visible} if visible else {})}

    def forward(self, speech: Tensor, speech_lengths: Tensor, **_) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Return loss (), stats, and the batch's weight, as ESPnet's trainer wants them.

        Args:
            speech: (batch, feature frames of 10 ms, bins).
            speech_lengths: (batch,).

        In evaluation, spans and distractors follow from the lengths alone, so that epochs can be compared.
        """
        with contextlib.nullcontext() if self.training else fixed_draws(speech_lengths):
            return self._forward(speech, speech_lengths)

    def _forward(self, speech: Tensor, speech_lengths: Tensor) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        pruned = self.begin_batch()
        config = self.config
        lengths, frames = subsampled(speech_lengths), max(int(subsampled(torch.tensor(speech.shape[1]))), 1)
        hidden = span_mask(lengths, frames, config.mask_start, config.mask_span, config.mask_gap)
        # One hidden frame alone has no distractors; such an utterance only occurs with spans of a single frame.
        hidden &= (hidden.sum(dim=1) > 1)[:, None]
        told, real = hidden, valid_frames(lengths, frames)
        if config.visible_weight:
            told = real & hidden.any(dim=1, keepdim=True)
        weight = hidden.sum()
        at = told.nonzero(as_tuple=True)  # waits for the device, once; indexing by ``told`` would wait every time
        if not len(at[0]):
            return self.nothing_hidden(self.branches.active(self.step, self.training), pruned)
        # Features are normalised by then: 0 is the mean of the training set.
        x, lengths = self.encoder.embed(
            speech, speech_lengths, lambda x, _: x.masked_fill(features_under(hidden, x.shape[1])[..., None], 0.0)
        )
        # Cosines divided by 0.1 and softmaxes over thousands of codes need more digits than bf16 has.
        with torch.autocast(x.device.type, enabled=False):
            drawn = self.targets.draw(self.stack(speech, x.shape[1])[at], at[0], self.step)
        loss = drawn.loss
        if config.feature_penalty:
            loss = loss + config.feature_penalty * mean_over(at_least_float32(x).square().mean(dim=-1), real)
        x = torch.where(hidden[..., None], self.hidden_frame.to(x.dtype), x)

        stats = {**pruned, "masked_share": weight / lengths.sum(), **drawn.stats}
        of_part = {"": hidden[at], "visible_": ~hidden[at]}
        edges = at_edges(hidden, real)[at]

        def judge(branch: Branch, encoded: Tensor, drawn: Any) -> Judgement:
            with torch.autocast(x.device.type, enabled=False):
                answer = self.targets.compare(at_least_float32(encoded[at]), drawn, branch.name)
            losses = {part: mean_over(answer.losses, of_part[part]) for part in self.parts()}
            values = {f"{part}accuracy": mean_over(answer.right, of_part[part]) for part in losses}
            values["edge_accuracy"] = mean_over(answer.right, edges)
            values |= {f"{part}loss": value for part, value in losses.items()}
            loss = torch.stack([share * losses[part] for part, share in self.parts().items()]).sum()
            return Judgement(loss, values)

        of_branches, _, values = self.run_branches(x, lengths, judge, drawn)
        loss, stats = loss + of_branches, stats | values
        stats["loss"] = loss.detach()
        return loss, stats, weight.type(loss.dtype)

    def nothing_hidden(
        self, branches: Iterable[str], pruned: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Return a batch of weight 0 whose gradients are 0: all of its utterances are shorter than a span.

        Every parameter takes part and every value is there, since other GPUs of the same update wait for them.
        """
        if self.training:
            self.targets.absent()
        loss = nothing_of(self)
        branches = list(branches)
        names = ["masked_share", *self.targets.names, "loss"]
        names += [f"edge_accuracy_{name}" for name in branches]
        names += [f"{part}{what}_{name}" for name in branches for part in self.parts() for what in ("loss", "accuracy")]
        zero = torch.zeros_like(loss).detach()
        return loss, {**pruned, **dict.fromkeys(names, zero), **self.settled()}, zero
