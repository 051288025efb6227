"""One training of :mod:`dualmode.bench.learning`: an encoder, one CTC head, the same batches for all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from dualmode.asr.config import AsrConfig
from dualmode.asr.ctc import ctc_losses, greedy
from dualmode.asr.error_rate import error_rate
from dualmode.asr.flat_start import flat_start_losses
from dualmode.bench.attentions import drop_attention, relative_positions
from dualmode.bench.encoder import espnet_conformer
from dualmode.bench.sentences import Batch, Sentences
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.encoder.subsampling import GlobalNorm
from dualmode.encoder.two_branch import Branch, BranchWeights, Judgement, TwoBranchModel
from dualmode.supernet.masked_linear import prunable
from dualmode.supernet.pruning import PruningSchedule

CHUNK_MS, LEFT_MS = 640, 1280


@dataclass(frozen=True)
class Variant:
    """What is trained: ``sparsities`` of the streaming branch, and the weights of the branches; None is ESPnet's."""

    sparsities: tuple[float, ...] = (0.0,)
    branches: BranchWeights | None = None


VARIANTS = {
    "dense": Variant(branches=BranchWeights(dense=1.0, sparse=0.0)),
    "stream": Variant(branches=BranchWeights(dense=0.0, sparse=1.0)),
    "both": Variant(branches=BranchWeights()),
    "supernet": Variant((0.7,), BranchWeights()),
    "espnet": Variant(),
}


@torch.no_grad()
def random_branches(encoder: DualModeEncoder, only_attention: bool = False) -> None:
    """Start residual branches as torch starts a Linear layer; ``only_attention`` leaves attention's at zero."""
    for name, layer in prunable(encoder):
        if layer.weight.any() or (only_attention and name.endswith("attention.out")):
            continue
        layer.reset_parameters()


@torch.no_grad()
def scaled_input(encoder: DualModeEncoder) -> None:
    """Start the subsampling's projection larger, by the square root of the width, as Transformers scale their input."""
    encoder.subsampling.project.weight.mul_(encoder.config.output_size**0.5)


def normed_input(encoder: DualModeEncoder) -> None:
    """Put a LayerNorm behind the subsampling, which the encoder does not have."""
    encoder.subsampling.project = nn.Sequential(encoder.subsampling.project, nn.LayerNorm(encoder.config.output_size))  # type: ignore[assignment]  # for this comparison alone


def normed_random(encoder: DualModeEncoder) -> None:
    random_branches(encoder)
    normed_input(encoder)


# What makes our encoder learn, to be taken apart.
STARTS: dict[str, Callable[[DualModeEncoder], None]] = {
    "zero": lambda encoder: None,
    "random": random_branches,
    "zero-attention": lambda encoder: random_branches(encoder, only_attention=True),
    "zero-scaled": scaled_input,
    "zero-normed": normed_input,
    "random-normed": normed_random,
}
OF_FULL_CONTEXT: dict[str, Callable[[DualModeEncoder], None]] = {
    "zero-attention-dropout": drop_attention,
    "zero-relative": relative_positions,
    "zero-relative-attention-dropout": partial(relative_positions, rate=0.1),
}
STARTS |= OF_FULL_CONTEXT


@dataclass(frozen=True)
class Plan:
    """One training.

    Attributes:
        variant, start: keys of VARIANTS and STARTS.
        size: WIDTHxBLOCKS.
        learning_rate: peak of OneCycle, of which 20 % rise.
        seed: of weights, dropout, order of the batches.
        updates: batches.
        every: updates between two measurements of the error rates.
        audio_s: seconds of a batch.
        encoder_conf: more keys of our encoder's configuration.
        flat_start: updates of it, see :mod:`dualmode.asr.flat_start`.
    """

    variant: str
    start: str
    size: str
    learning_rate: float
    seed: int
    updates: int
    every: int
    audio_s: float
    encoder_conf: dict[str, Any] = field(default_factory=dict)
    flat_start: int = 0

    def sizes(self) -> dict[str, Any]:
        """Return the sizes that both encoders have: four times the width in feed-forward layers, heads of 36 to 64."""
        width, blocks = map(int, self.size.split("x"))
        return {"output_size": width, "num_blocks": blocks, "linear_units": 4 * width, "kernel_size": 15}


def text_loss(scores: Tensor, frames: Tensor, batch: Batch, weights: dict[str, float]) -> Tensor:
    """Return the mean over the batch of the losses that have a weight: CTC, and at first that of the flat start."""
    of_text = {"ctc": ctc_losses, "flat": flat_start_losses}
    each = [share * of_text[name](scores, frames, batch.text, batch.tokens) for name, share in weights.items()]
    return torch.stack(each).sum(0).mean()


class Ours(TwoBranchModel):
    """Our encoder with one head for both branches."""

    def __init__(self, plan: Plan, vocabulary: int):
        variant = VARIANTS[plan.variant]
        sizes = plan.sizes()
        config = EncoderConfig(
            **sizes,
            subsampling_channels=sizes["output_size"],
            sparsities=variant.sparsities,
            chunk_ms=[CHUNK_MS],
            left_ms=[LEFT_MS],
            dropout_rate=0.1,
        )
        encoder = DualModeEncoder(replace(config, **plan.encoder_conf))
        STARTS[plan.start](encoder)
        begin, end = plan.updates // 10, plan.updates // 2
        interval = max(plan.updates // 40, 1) if encoder.config.masked else 0
        assert variant.branches is not None
        super().__init__(encoder, PruningSchedule(begin, end, interval), variant.branches)
        self.head = nn.Linear(sizes["output_size"], vocabulary)
        self.normalize = encoder.normalize
        self.losses = AsrConfig(flat_start=plan.flat_start)

    def forward(self, batch: Batch, augment: Callable | None = None) -> tuple[Tensor, dict[str, list[list[int]]]]:
        """Return the loss, and in evaluation the tokens that each branch puts out."""
        self.begin_batch()
        x, frames = self.encoder.embed(batch.features, batch.lengths, augment)

        def judge(branch: Branch, encoded: Tensor, _: None) -> Judgement:
            scores = self.head(encoded).log_softmax(dim=-1)
            loss = text_loss(scores, frames, batch, self.losses.weights(self.step))
            return Judgement(loss, output=None if self.training else greedy(scores, frames))

        loss, outputs, _ = self.run_branches(x, frames, judge)
        return loss, outputs


class Espnet(nn.Module):
    """ESPnet's Conformer with the same normalisation and head."""

    def __init__(self, plan: Plan, vocabulary: int):
        super().__init__()
        sizes = plan.sizes()
        width = sizes["output_size"]
        self.normalize = GlobalNorm(80)
        self.encoder = espnet_conformer(
            width, sizes["num_blocks"], sizes["linear_units"], sizes["kernel_size"], heads=4
        )
        self.head = nn.Linear(width, vocabulary)
        self.losses, self.step = AsrConfig(flat_start=plan.flat_start), 0

    def forward(self, batch: Batch, augment: Callable | None = None) -> tuple[Tensor, dict[str, list[list[int]]]]:
        x = self.normalize(batch.features)
        encoded, frames, _ = self.encoder(x if augment is None else augment(x, batch.lengths), batch.lengths)
        scores = self.head(encoded).log_softmax(dim=-1)
        self.step += self.training
        loss = text_loss(scores, frames, batch, self.losses.weights(self.step))
        return loss, {} if self.training else {"dense": greedy(scores, frames)}


def hide_bins(x: Tensor, lengths: Tensor, bands: int = 2, widest: int = 15) -> Tensor:
    """Set bands of bins of x (batch, frames, bins) to 0, the mean: SpecAugment's part that suits short utterances."""
    bins = torch.arange(x.shape[2])
    keep = torch.ones(len(x), x.shape[2], dtype=torch.bool)
    for _ in range(bands):
        width = torch.randint(widest + 1, (len(x), 1))
        first = (torch.rand(len(x), 1) * (x.shape[2] - width + 1)).long()
        keep &= (bins < first) | (bins >= first + width)
    return x * keep.to(x.device)[:, None]


@torch.no_grad()
def error_rates(model: nn.Module, sentences: Sentences, audio_s: float) -> dict[str, float]:
    """Return the percentage of wrong tokens of each branch."""
    model.eval()
    references: list[list[int]] = []
    found: dict[str, list[list[int]]] = {}
    for group in sentences.grouped(audio_s):
        batch = sentences.batch(group)
        references += batch.references()
        for branch, tokens in model(batch)[1].items():
            found.setdefault(branch, []).extend(tokens)
    model.train()
    return {branch: error_rate(references, tokens) for branch, tokens in found.items()}


def learn(plan: Plan, train: Sentences, valid: Sentences, vocabulary: int) -> Iterator[dict]:
    """Yield a row at every measurement: ``updates``, ``loss``, ``cer`` and ``cer_train`` of each branch, ``seconds``.

    ``cer`` and ``cer_train`` are of the dense branch, where there is one; a streaming branch beside it has its own
    in ``cer_stream`` and ``cer_train_stream``.
    """
    torch.manual_seed(plan.seed)
    model = (Espnet if plan.variant == "espnet" else Ours)(plan, vocabulary)
    mean, std = train.statistics()
    model.normalize.mean.copy_(mean)
    model.normalize.std.copy_(std)
    device = train.features[0].device
    model.to(device).train()
    rate = plan.learning_rate
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01, fused=device.type == "cuda"
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=rate, total_steps=plan.updates, pct_start=0.2, cycle_momentum=False
    )
    heard = train.first(len(valid.texts))
    losses, seconds, began = torch.zeros((), device=device), 0.0, perf_counter()
    for update, batch in enumerate(islice(train.endless(plan.audio_s, plan.seed), plan.updates), start=1):
        loss, _ = model(batch, hide_bins)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        losses += loss.detach()
        if update % plan.every == 0 or update == plan.updates:
            row = {"updates": update, "loss": losses.item() / ((update - 1) % plan.every + 1)}
            seconds += perf_counter() - began
            for name, sentences in (("cer", valid), ("cer_train", heard)):
                rates = error_rates(model, sentences, 4 * plan.audio_s)
                first = rates.pop("dense", None)
                row[name] = rates.pop("sparse") if first is None else first
                if "sparse" in rates:
                    row[f"{name}_stream"] = rates["sparse"]
            yield row | {"seconds": seconds}
            losses.zero_()
            began = perf_counter()
