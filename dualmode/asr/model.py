"""The two-branch recogniser: one batch, both sub-networks, one loss."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from dualmode.asr.branch import BranchOutput, branch_losses, distillation_losses
from dualmode.asr.config import AsrConfig
from dualmode.asr.ctc import greedy
from dualmode.asr.error_rate import error_rate
from dualmode.asr.references import References
from dualmode.asr.transducer.greedy import greedy as transducer_greedy
from dualmode.asr.transducer.joiner import Joiner
from dualmode.asr.transducer.lattice import make_lattice
from dualmode.asr.transducer.predictor import LstmPredictor, StatelessPredictor, make_predictor
from dualmode.encoder.conformer import DualModeEncoder, nothing_of
from dualmode.encoder.two_branch import Branch, BranchWeights, Judgement, TwoBranchModel
from dualmode.errors import UserError
from dualmode.supernet.precision import at_least_float32
from dualmode.supernet.pruning import PruningSchedule
from dualmode.supernet.subnet import DENSE


class AsrModel(TwoBranchModel):
    """Encoder, CTC head and RNN-T, trained as the dense full-context and the sparse streaming sub-network at once::

        features -> augment -> subsampling -+-> dense,  full  --> CTC and RNN-T loss
                                            |        | posteriors and lattice, gradient stopped
                                            |        v
                                            |   distillation
                                            |        ^
                                            +-> sparse, chunk --> CTC and RNN-T loss

    Both branches share the CTC head, the predictor and the joiner.  Where they take turns (schedule: alternate), the
    dense one runs for the sparse one's turn as well once there is distillation, without gradients.

    Attributes:
        head: of CTC; None for an RNN-T whose ``ctc_weight`` is 0.
        predictor, joiner: of the RNN-T; None for kind ctc.

    Args:
        encoder: the supernet.
        tokens: the vocabulary; token 0 is the blank.
        config, schedule, branches: settings.
        augment: maps normalised features (batch, frames, bins) and lengths to features; only while training.
        to_words: maps token numbers to words; with it, validation reports word error rates as well.
    """

    def __init__(
        self,
        encoder: DualModeEncoder,
        tokens: Sequence[str],
        config: AsrConfig,
        schedule: PruningSchedule,
        branches: BranchWeights,
        augment: Callable[[Tensor, Tensor], Tensor] | None = None,
        to_words: Callable[[Sequence[int]], list[str]] | None = None,
    ):
        super().__init__(encoder, schedule, branches)
        self.tokens, self.config = list(tokens), config
        self.skipped = 0  # batches in a row, up to now
        self.head: nn.Linear | None
        self.predictor: StatelessPredictor | LstmPredictor | None
        self.joiner: Joiner | None
        self.augment, self.to_words = augment, to_words
        size, vocabulary, transducer = encoder.config.output_size, len(tokens), config.transducer
        self.head = nn.Linear(size, vocabulary) if config.has_ctc else None
        self.predictor = self.joiner = None
        if transducer is not None:
            self.predictor = make_predictor(transducer, vocabulary)
            self.joiner = Joiner(size, transducer.predictor_size, transducer.joiner_size, vocabulary)

    @property
    def kind(self) -> str:
        """What puts the tokens out: the CTC head ("ctc") or the RNN-T ("rnnt")."""
        return self.config.kind

    def posteriors(self, encoded: Tensor) -> Tensor:
        """Map the encoder's output (..., d) to CTC log posteriors (..., vocabulary), in float32.

        Raises:
            UserError: the model has no CTC head.
        """
        if self.head is None:
            raise UserError("this recogniser has no CTC head: it was trained with ctc_weight 0")
        return at_least_float32(self.head(encoded)).log_softmax(dim=-1)

    def forward(
        self,
        speech: Tensor,
        speech_lengths: Tensor,
        text: Tensor,
        text_lengths: Tensor,
        utt_id: Sequence[str] | None = None,
        **_,
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Return loss (), stats, and the batch's weight, as ESPnet's trainer wants them.

        The weight is of utterances, and in validation of tokens.

        Args:
            speech: (batch, feature frames of 10 ms, bins).
            speech_lengths: (batch,).
            text: (batch, tokens), padded.
            text_lengths: (batch,).
            utt_id: names of the utterances, for messages.

        Raises:
            UserError: an utterance is too short for its transcript; a loss is not finite, in validation, or in more
                training batches in a row than are skipped.
        """
        stats = self.begin_batch()
        x, frames = self.encoder.embed(speech, speech_lengths, self.augment if self.training else None)
        names = utt_id or [f"number {number} of the batch" for number in range(1, len(speech) + 1)]
        batch = References(names, frames, text, text_lengths)
        batch.check_lengths(ctc=self.config.has_ctc)

        predicted = None if self.predictor is None else self.predictor(text)
        weights = self.config.weights(self.step, self.training)

        def judge(branch: Branch, encoded: Tensor, predicted: Tensor | None) -> Judgement:
            output = self._output(encoded, predicted, batch)
            streaming = branch.name == "sparse" and branch.subnet.context.chunk is not None
            losses = branch_losses(output, batch, self.config, streaming, flat="flat" in weights)
            several = {f"loss_{kind}": value for kind, value in losses.items()} if len(losses) > 1 else {}
            loss = torch.stack([weights[kind] * value for kind, value in losses.items()]).sum()
            return Judgement(loss, several, output)

        loss, branches, values = self.run_branches(x, frames, judge, predicted)
        stats.update(values)
        taught = self.config.distils and "sparse" in branches and self.branches.dense > 0
        distill_share = self.config.distill_share(self.step, self.training) if taught else 0.0
        if distill_share:
            if "dense" not in branches:
                branches["dense"] = self._teacher(x, predicted, batch)
            losses = distillation_losses(branches["dense"], branches["sparse"], batch, self.config)
            for kind, value in losses.items():
                loss = loss + distill_share * self.config.distill_weights[kind] * value
                stats["loss_distill" if kind == "ctc" else f"loss_distill_{kind}"] = value.detach()
        if not self.training:
            stats.update(self._error_rates(branches, batch))
        stats["loss"] = loss.detach()
        # Validation averages over batches by their tokens: ter is that of the set if all is decoded, wer about it.
        weight = loss.new_full((), len(speech)) if self.training else batch.tokens.sum().clamp(min=1).float()
        fault = batch.fault()
        if fault is not None:
            return self.skip(fault, stats, weight)
        self.skipped = 0
        return loss, stats, weight

    def skip(self, why: str, stats: dict[str, Tensor], weight: Tensor) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Return a batch that counts nothing, with all values and gradients 0, in the place of one that went wrong.

        Other processes of the training wait for each of them.

        Raises:
            UserError: this is no training, or too many batches in a row went wrong.
        """
        self.skipped += 1
        if not self.training or self.skipped > self.config.max_skipped:
            raise UserError(why)
        row = f"{self.skipped} of at most {self.config.max_skipped} in a row"
        print(f"a batch of update {self.step} is skipped ({row}): {why}", flush=True)
        return (
            nothing_of(self),
            {name: torch.zeros_like(value) for name, value in stats.items()},
            torch.zeros_like(weight),
        )

    def decode_greedy(self, encoded: Tensor, frames: Tensor) -> list[list[int]]:
        """Return the best tokens of each utterance of encoded (batch, frames, d) with real frames (batch,)."""
        if self.kind == "ctc":
            return greedy(self.posteriors(encoded), frames)
        return transducer_greedy(self.predictor, self.joiner, encoded, frames)

    def _output(self, encoded: Tensor, predicted: Tensor | None, batch: References) -> BranchOutput:
        posteriors = lattice = None
        if self.config.has_ctc:
            posteriors = self.posteriors(encoded)
        if predicted is not None:
            max_cells = self.config.transducer.max_cells
            lattice = make_lattice(self.joiner, encoded, predicted, batch.text, batch.tokens, max_cells)
        return BranchOutput(encoded, posteriors, lattice)

    @torch.no_grad()
    def _teacher(self, x: Tensor, predicted: Tensor | None, batch: References) -> BranchOutput:
        """Return the dense branch's output for a batch that does not train it."""
        return self._output(self.encoder.encode(x, batch.frames, DENSE), predicted, batch)

    def _error_rates(self, branches: dict[str, BranchOutput], batch: References) -> dict[str, Tensor]:
        """Decode the first ``decode_share`` of the batch; return its error rates in percent.

        ``ter`` and ``ter_NAME`` count tokens, ``wer`` and ``wer_NAME`` words; without a name it is the branches' mean.
        Over several batches they are averaged by tokens, so that ``wer`` is near the WER of the set, not equal to it.
        """
        count = max(1, math.ceil(self.config.decode_share * len(batch.names)))
        references: dict[str, list] = {"ter": batch.as_lists(count)}
        if self.to_words is not None:
            references["wer"] = [self.to_words(tokens) for tokens in references["ter"]]
        rates: dict[str, Tensor] = {}
        for name, branch in branches.items():
            decoded = self.decode_greedy(branch.encoded[:count], batch.frames[:count])
            for unit, reference in references.items():
                hypotheses: list = decoded if unit == "ter" else [self.to_words(tokens) for tokens in decoded]
                rates[f"{unit}_{name}"] = branch.encoded.new_tensor(error_rate(reference, hypotheses))
        for unit in references:
            rates[unit] = torch.stack([rates[f"{unit}_{name}"] for name in branches]).mean()
        return rates
