"""The contrastive task of wav2vec 2.0: which of several quantised frames is the hidden one?"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualmode.pretrain.codes import CodeUsage
from dualmode.pretrain.config import ContrastiveConfig
from dualmode.pretrain.quantizer import GumbelQuantizer
from dualmode.pretrain.targets import Answer
from dualmode.supernet.precision import at_least_float32


def sample_distractors(utterance: Tensor, count: int) -> Tensor:
    """Draw ``count`` other frames of the same utterance for each frame, with replacement.

    Args:
        utterance: (frames,), ascending: which utterance of the batch each frame belongs to.  Every utterance has at
            least two (a single one has no distractors; the caller leaves it out).
        count: distractors of a frame.

    Returns:
        (frames, count) indices into the frames, never a frame's own.
    """
    first, end = torch.searchsorted(utterance, utterance), torch.searchsorted(utterance, utterance, right=True)
    size = end - first
    rank = torch.arange(len(utterance), device=utterance.device) - first
    draws = (torch.rand(len(utterance), count, device=utterance.device) * (size - 1)[:, None]).long()
    # rand() * (n - 1) may round up to n - 1 in float32.
    draws = torch.minimum(draws, (size - 2)[:, None])
    draws = draws + (draws >= rank[:, None]).long()
    return draws + first[:, None]


def twins(codes: Tensor, distractors: Tensor) -> Tensor:
    """Return which distractors (frames, count) have the codes (frames, groups) of their frame's own target."""
    return (codes[distractors] == codes[:, None]).all(dim=-1)


def chance(codes: Tensor, distractors: Tensor) -> Tensor:
    """Return the accuracy () of a guess: the mean of 1 / (1 + different wrong answers).

    Distractors with equal codes are one answer.  A frame whose distractors are all twins counts 0, as in the accuracy.

    >>> codes = torch.tensor([[7], [8], [8], [9]])
    >>> chance(codes, torch.tensor([[1, 2, 3], [2, 2, 2], [2, 0, 3], [1, 1, 2]]))  # 1/3, 0, 1/3, 1/2
    tensor(0.2917)
    """
    _, number = codes.unique(dim=0, return_inverse=True)
    answers = number[distractors].masked_fill(twins(codes, distractors), -1).sort(dim=1).values
    new = torch.ones_like(answers, dtype=torch.bool)
    new[:, 1:] = answers[:, 1:] != answers[:, :-1]
    wrong = (new & (answers >= 0)).sum(dim=1)
    return torch.where(wrong > 0, 1.0 / (1.0 + wrong), 0.0).mean()


def contrastive_loss(context: Tensor, targets: Tensor, codes: Tensor, distractors: Tensor, scale: float) -> Answer:
    """Cross entropy of choosing the true target by cosine similarity (wav2vec 2.0, equation 3).

    Every frame is compared with every target, and of these similarities the distractors' are taken: a similarity is one
    number, a target hundreds, and ``targets[distractors]`` would hold each of them ``count`` times.

    Args:
        context: (frames, size), a branch's outputs at the frames.
        targets: (frames, size), the quantised frames.
        codes: (frames, groups).  A distractor with the same codes as the target is the target, and is left out.
        distractors: (frames, count) indices into ``targets``.
        scale: what similarities are divided by (kappa, 0.1 in the paper).
    """
    context = F.normalize(at_least_float32(context), dim=-1)
    targets = F.normalize(at_least_float32(targets), dim=-1)
    similarity = context @ targets.T
    positive = similarity.diagonal()[:, None]
    negative = similarity.gather(1, distractors)
    same = twins(codes, distractors)
    logits = torch.cat([positive, negative.masked_fill(same, float("-inf"))], dim=1) / scale
    right = (logits[:, :1] > logits[:, 1:]).all(dim=1) & ~same.all(dim=1)
    losses = F.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long), reduction="none")
    return Answer(losses, right.float())


@dataclass(frozen=True)
class Contrast:
    """What both branches of a batch are compared with.

    Attributes:
        vectors: (frames, size), the quantised frames.
        codes: (frames, groups).
        distractors: (frames, count) indices into ``vectors``.
        loss: (), of the quantizer itself.
        stats: of the quantizer.
    """

    vectors: Tensor
    codes: Tensor
    distractors: Tensor
    loss: Tensor
    stats: dict[str, Tensor]


class ContrastiveTargets(nn.Module):
    """Frames of the fbank, quantised by a codebook that is learned along.

    The paper's targets come from learned features of the waveform.  Ours come from the normalised fbank itself:
    learned features of fbank collapsed to a constant within 100 batches in our trials, which a fixed input cannot.

    Args:
        encoded_size: of the encoder's output.
        frame_size: of what is quantised.
        config: settings.
    """

    def __init__(self, encoded_size: int, frame_size: int, config: ContrastiveConfig):
        super().__init__()
        self.config = config
        self.target_norm = nn.LayerNorm(frame_size, elementwise_affine=False)
        self.quantizer = GumbelQuantizer(frame_size, config.groups, config.entries, config.target_size)
        self.project = nn.Linear(encoded_size, config.target_size)
        self.usage = CodeUsage(config.groups, config.entries)
        self.names = ["temperature", "chance", *self.usage.names]

    def temperature(self, step: int) -> float:
        """Return the Gumbel temperature of update ``step``."""
        start, end, factor = self.config.temperature
        return max(end, start * factor**step)

    def draw(self, frames: Tensor, utterance: Tensor, step: int) -> Contrast:
        """Quantise frames (frames, frame_size) and draw distractors of the same ``utterance`` (frames,)."""
        config, temperature = self.config, self.temperature(step)
        quantized = self.quantizer(self.target_norm(frames), temperature)
        distractors = sample_distractors(utterance, config.distractors)
        used = quantized.perplexity.sum() / (config.groups * config.entries)
        # Where no branch that the quantizer hears is run, it takes part all the same: several GPUs wait for it.
        unheard = 0.0 * quantized.vectors.sum() if config.quantizer_hears != "both" else 0.0
        stats = {"temperature": used.new_full((), temperature), "chance": chance(quantized.codes, distractors)}
        return Contrast(
            quantized.vectors,
            quantized.codes,
            distractors,
            config.diversity_weight * (1.0 - used) + unheard,
            stats | self.usage(quantized.codes),
        )

    def absent(self) -> None:
        """Take part in the mean over the codebook and in counting codes, without frames."""
        self.quantizer.absent()
        self.usage.absent()

    def compare(self, encoded: Tensor, drawn: Contrast, branch: str) -> Answer:
        """Compare a branch's outputs at the frames (frames, encoded_size) with what was drawn."""
        heard = self.config.quantizer_hears in ("both", branch)
        vectors, context = drawn.vectors if heard else drawn.vectors.detach(), self.project(encoded)
        return contrastive_loss(context, vectors, drawn.codes, drawn.distractors, self.config.similarity_scale)
