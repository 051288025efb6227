"""wav2vec 2.0 (Baevski et al. 2020) on the supernet: one set of targets, two branches."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualmode.encoder.conformer import DualModeEncoder
from dualmode.encoder.frames import FACTOR
from dualmode.errors import UserError
from dualmode.pretrain.contrastive import contrastive_loss, sample_distractors
from dualmode.pretrain.masking import span_mask
from dualmode.pretrain.quantizer import GumbelQuantizer
from dualmode.supernet.pruning import PruningSchedule
from dualmode.supernet.self_pruning import BranchWeights, SelfPruningModel
from dualmode.supernet.subnet import DENSE


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of the contrastive pre-training.

    Args:
        mask_start: probability that a span of hidden frames starts at an encoder frame.
        mask_span: encoder frames of 40 ms in a span.
        groups: codebooks of the quantizer.
        entries: entries of each.
        target_size: size of quantised vectors and of the vectors compared with them.
        distractors: wrong answers for each hidden frame.
        similarity_scale: what cosine similarities are divided by.
        diversity_weight: weight of the loss that keeps all entries in use.
        temperature: of the Gumbel softmax: at the start, at the end, and the factor of each batch.
    """

    mask_start: float = 0.13
    mask_span: int = 5
    groups: int = 2
    entries: int = 64
    target_size: int = 128
    distractors: int = 50
    similarity_scale: float = 0.1
    diversity_weight: float = 1.0
    temperature: tuple[float, float, float] = (1.0, 0.5, 0.999)

    def __post_init__(self):
        for name in ("mask_span", "groups", "entries", "target_size", "distractors"):
            if getattr(self, name) < 1:
                raise UserError(f"model_conf: {name} is {getattr(self, name)}: it must be at least 1")
        if not 0 < self.mask_start < 1:
            raise UserError(f"model_conf: mask_start is {self.mask_start}: it must be between 0 and 1")
        if self.target_size % self.groups:
            raise UserError(f"model_conf: {self.groups} groups do not divide a target_size of {self.target_size}")
        if len(self.temperature) != 3 or min(self.temperature) <= 0:
            raise UserError("model_conf: temperature must be [start, end, factor of each batch], all above 0")


class PretrainModel(SelfPruningModel):
    """Both branches see the same hidden frames and must tell the same targets from the same distractors::

        features -+-> stack 4 frames -> quantizer --------------------> targets
                  +-> subsampling -> hide spans -+-> dense,  full  --> contrast
                                                 +-> sparse, chunk --> contrast

    The paper's targets come from learned features of the waveform.  Ours come from the normalised fbank itself, four
    frames of 10 ms for an encoder frame of 40 ms: learned features of fbank collapsed to a constant within 100 batches
    in our trials, which a fixed input cannot.
    """

    def __init__(
        self, encoder: DualModeEncoder, config: PretrainConfig, schedule: PruningSchedule, branches: BranchWeights
    ):
        super().__init__(encoder, schedule)
        self.config, self.branches = config, branches
        size, stacked = encoder.config.output_size, FACTOR * encoder.config.input_size
        self.hidden_frame = nn.Parameter(torch.empty(size).uniform_())
        self.target_norm = nn.LayerNorm(stacked, elementwise_affine=False)
        self.quantizer = GumbelQuantizer(stacked, config.groups, config.entries, config.target_size)
        self.project = nn.Linear(size, config.target_size)

    @property
    def temperature(self) -> float:
        start, end, factor = self.config.temperature
        return max(end, start * factor**self.step)

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

    def forward(self, speech: Tensor, speech_lengths: Tensor, **_) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Return loss (), stats, and the batch's weight, as ESPnet's trainer wants them.

        Args:
            speech: (batch, feature frames of 10 ms, bins).
            speech_lengths: (batch,).
        """
        self.begin_batch()
        config = self.config
        x, lengths = self.encoder.embed(speech, speech_lengths)
        hidden = span_mask(lengths, x.shape[1], config.mask_start, config.mask_span)
        # One hidden frame alone has no distractors; such an utterance only occurs with spans of a single frame.
        hidden &= (hidden.sum(dim=1) > 1)[:, None]
        weight = hidden.sum()
        if weight == 0:  # every utterance of the batch is shorter than a span
            return 0.0 * x.sum(), {}, weight.new_ones(())
        quantized = self.quantizer(self.target_norm(self.stack(speech, x.shape[1])[hidden]), self.temperature)
        distractors = sample_distractors(hidden.nonzero()[:, 0], config.distractors)
        used = quantized.perplexity.sum() / (config.groups * config.entries)
        x = torch.where(hidden[..., None], self.hidden_frame.to(x.dtype), x)

        loss = config.diversity_weight * (1.0 - used)
        stats = {"masked_share": weight / lengths.sum(), "temperature": torch.tensor(self.temperature)}
        stats |= {f"perplexity{group}": value.detach() for group, value in enumerate(quantized.code_perplexity)}
        sparse = self.encoder.config.sample_subnet() if self.training else self.encoder.config.default_subnet()
        for name, subnet, share in (("dense", DENSE, self.branches.dense), ("sparse", sparse, self.branches.sparse)):
            if share == 0:
                continue
            context = self.project(self.encoder.encode(x, lengths, subnet)[hidden])
            contrast = contrastive_loss(
                context, quantized.vectors, quantized.codes, distractors, config.similarity_scale
            )
            loss = loss + share * contrast.loss
            stats |= {f"loss_{name}": contrast.loss.detach(), f"accuracy_{name}": contrast.accuracy}
        stats["loss"] = loss.detach()
        return loss, stats, weight.float()
