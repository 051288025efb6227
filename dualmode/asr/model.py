"""The two-branch recogniser: one batch, both sub-networks, one loss."""

from collections.abc import Callable, Sequence

import torch
from rapidfuzz.distance import Levenshtein
from torch import Tensor, nn

from dualmode.asr.config import RecogniserConfig
from dualmode.asr.ctc import ctc_loss, distillation, greedy
from dualmode.asr.transducer.joiner import Joiner
from dualmode.asr.transducer.predictor import LstmPredictor, StatelessPredictor
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.encoder.padding import valid_frames
from dualmode.supernet.pruning import PruningSchedule
from dualmode.supernet.self_pruning import BranchWeights, SelfPruningModel
from dualmode.supernet.subnet import DENSE


class Recogniser(SelfPruningModel):
    """Encoder and CTC head, trained as the dense full-context and the sparse streaming sub-network at once::

        features -> augment -> subsampling -+-> dense,  full  --> CTC loss
                                            |        | posteriors, gradient stopped
                                            |        v
                                            |   distillation
                                            |        ^
                                            +-> sparse, chunk --> CTC loss

    Args:
        encoder: the supernet.
        tokens: the vocabulary; token 0 is the blank.
        config, schedule, branches: settings.
        augment: maps normalised features (batch, frames, bins) and lengths to features; only while training.
    """

    def __init__(
        self,
        encoder: DualModeEncoder,
        tokens: Sequence[str],
        config: RecogniserConfig,
        schedule: PruningSchedule,
        branches: BranchWeights,
        augment: Callable[[Tensor, Tensor], Tensor] | None = None,
    ):
        super().__init__(encoder, schedule)
        self.tokens, self.config, self.branches, self.augment = list(tokens), config, branches, augment
        size, vocabulary, transducer = encoder.config.output_size, len(tokens), config.transducer
        self.head = nn.Linear(size, vocabulary) if config.has_ctc else None
        self.predictor = self.joiner = None
        if transducer is not None:
            if transducer.predictor == "stateless":
                self.predictor = StatelessPredictor(vocabulary, transducer.predictor_size, transducer.context)
            else:
                self.predictor = LstmPredictor(vocabulary, transducer.predictor_size, transducer.layers)
            self.joiner = Joiner(size, transducer.predictor_size, transducer.joiner_size, vocabulary)

    @property
    def kind(self) -> str:
        """ "ctc" or "rnnt"."""
        return self.config.kind

    def posteriors(self, encoded: Tensor) -> Tensor:
        """Map the encoder's output (..., d) to log posteriors (..., vocabulary), in float32."""
        return self.head(encoded).float().log_softmax(dim=-1)

    def forward(
        self, speech: Tensor, speech_lengths: Tensor, text: Tensor, text_lengths: Tensor, **_
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Return loss (), stats, and the batch's weight, as ESPnet's trainer wants them.

        Args:
            speech: (batch, feature frames of 10 ms, bins).
            speech_lengths: (batch,).
            text: (batch, tokens), padded.
            text_lengths: (batch,).
        """
        self.begin_batch()
        x, frames = self.encoder.embed(speech, speech_lengths, self.augment if self.training else None)
        sparse = self.encoder.config.sample_subnet() if self.training else self.encoder.config.default_subnet()
        loss, stats, posteriors = x.new_zeros(()), {}, {}
        for name, subnet, share in (("dense", DENSE, self.branches.dense), ("sparse", sparse, self.branches.sparse)):
            if share == 0:
                continue
            posteriors[name] = self.posteriors(self.encoder.encode(x, frames, subnet))
            branch_loss = ctc_loss(posteriors[name], frames, text, text_lengths)
            loss = loss + share * branch_loss
            stats[f"loss_{name}"] = branch_loss.detach()
            if not self.training:
                stats[f"ter_{name}"] = token_error_rate(greedy(posteriors[name], frames), text, text_lengths)
        if self.config.distill_weight and len(posteriors) == 2 and self.step > self.config.distill_after:
            kl = distillation(posteriors["sparse"], posteriors["dense"], valid_frames(frames, x.shape[1]))
            loss = loss + self.config.distill_weight * kl
            stats["loss_distill"] = kl.detach()
        if not self.training:
            rates = [stats[key] for key in stats if key.startswith("ter_")]
            stats["ter"] = sum(rates) / len(rates)
        stats["loss"] = loss.detach()
        return loss, stats, loss.new_tensor(float(len(speech)))


def token_error_rate(hypotheses: list[list[int]], text: Tensor, text_lengths: Tensor) -> Tensor:
    """Return the token errors of a batch in percent of its reference tokens."""
    references = [row[:length].tolist() for row, length in zip(text, text_lengths.tolist(), strict=True)]
    errors = sum(Levenshtein.distance(r, h) for r, h in zip(references, hypotheses, strict=True))
    return torch.tensor(100.0 * errors / max(sum(map(len, references)), 1), device=text.device)
