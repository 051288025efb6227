"""Settings of the recogniser and of its training, checked once when they are read."""

from dataclasses import dataclass
from typing import Any

from dualmode.config import check_at_least, check_at_most, from_mapping
from dualmode.errors import UserError
from dualmode.frames import frames_from_ms

KINDS = ("ctc", "rnnt")
PREDICTORS = ("stateless", "lstm")


@dataclass(frozen=True)
class TransducerConfig:
    """Settings of the RNN-T.

    Args:
        predictor: "stateless" sees the last ``context`` tokens, "lstm" all of them.
        context: tokens that the stateless predictor sees.
        layers: of the LSTM predictor.
        predictor_size: width of the predictor.
        joiner_size: width in which encoder and predictor meet.
        ctc_weight: weight of the auxiliary CTC loss; at 0 there is no CTC head.
        warmup: updates over which the weight of the RNN-T loss grows to 1, while CTC finds the alignments.
        distill_weight: weight of the divergence of the sparse branch's lattice from the dense branch's.
        fastemit: lambda of FastEmit in the sparse streaming branch; 0 leaves the emission time alone.
        max_cells: lattice cells (frames x tokens, all utterances of the batch) whose distributions over the vocabulary
            are in memory at a time.
    """

    predictor: str = "stateless"
    context: int = 2
    layers: int = 1
    predictor_size: int = 144
    joiner_size: int = 144
    ctc_weight: float = 1.0
    warmup: int = 0
    distill_weight: float = 0.0
    fastemit: float = 0.0
    max_cells: int = 100_000

    def __post_init__(self):
        where = "model_conf: transducer"
        if self.predictor not in PREDICTORS:
            raise UserError(f"{where}: predictor is {self.predictor!r}: it must be one of {', '.join(PREDICTORS)}")
        check_at_least(where, self, 1, "context", "layers", "predictor_size", "joiner_size", "max_cells")
        check_at_most(where, self, 100, "context", "layers")
        check_at_most(where, self, 1 << 15, "predictor_size", "joiner_size")
        check_at_least(where, self, 0, "warmup")
        check_at_least(where, self, 0.0, "ctc_weight", "distill_weight", "fastemit")


@dataclass(frozen=True)
class AsrConfig:
    """Settings of the recogniser and its fine-tuning.

    Args:
        kind: "ctc", or "rnnt" with an auxiliary CTC head.
        transducer: a mapping with the fields of :class:`TransducerConfig`; for kind rnnt only.
        flat_start: updates over which the CTC loss grows to its full weight, while the cross-entropy to evenly placed
            tokens (:mod:`dualmode.asr.flat_start`) leaves; for trainings from random weights.
        label_smoothing: share of the CTC loss that is given to a penalty on confident posteriors.
        distill_weight: weight of the divergence of the sparse branch's CTC posteriors from the dense branch's.
        distill_after: updates before distillation begins, while the dense branch has nothing to teach.
        distill_ramp: updates over which the weights of both distillations then grow to their full size.
        distill_shift_ms: by how much the sparse branch may be later than its teacher without a loss.
        max_skipped: training batches in a row that are skipped because a loss is not finite, before the training ends.
        decode_share: share of the validation set whose error rates are measured: the first utterances of each batch,
            one at least; the same ones every time.
    """

    kind: str = "ctc"
    transducer: Any = None  # a mapping comes in, a TransducerConfig is what is kept
    flat_start: int = 0
    label_smoothing: float = 0.0
    distill_weight: float = 0.0
    distill_after: int = 0
    distill_ramp: int = 0
    distill_shift_ms: float = 0
    decode_share: float = 1.0
    max_skipped: int = 10

    def __post_init__(self):
        if self.kind not in KINDS:
            raise UserError(f"model_conf: kind is {self.kind!r}: it must be one of {', '.join(KINDS)}")
        if self.kind == "ctc" and self.transducer is not None:
            raise UserError("model_conf: transducer needs kind: rnnt")
        if self.kind == "rnnt" and not isinstance(self.transducer, TransducerConfig):
            transducer = from_mapping(TransducerConfig, self.transducer or {}, "model_conf: transducer")
            object.__setattr__(self, "transducer", transducer)
        check_at_least("model_conf", self, 0.0, "label_smoothing", "distill_weight", "distill_shift_ms", "decode_share")
        check_at_least("model_conf", self, 0, "flat_start", "distill_after", "distill_ramp", "max_skipped")
        if self.label_smoothing >= 1 or self.decode_share > 1:
            raise UserError("model_conf: label_smoothing must be below 1, and decode_share at most 1")
        if not self.has_ctc and (self.distill_weight or self.label_smoothing or self.flat_start):
            raise UserError(
                "model_conf: distill_weight, label_smoothing and flat_start are for the CTC head, which a transducer "
                "with ctc_weight 0 does not have"
            )
        frames_from_ms(self.distill_shift_ms, "model_conf: distill_shift_ms")

    @property
    def has_ctc(self) -> bool:
        """Whether there is a CTC head."""
        return self.transducer is None or self.transducer.ctc_weight > 0

    def weights(self, step: int, training: bool = True) -> dict[str, float]:
        """Return the weights of a branch's losses at update ``step``, counted from 1, by name.

        Outside of ``training`` all losses have their full weight, so that epochs can be compared; "flat" is there as
        long as it has a weight.

        >>> AsrConfig(kind="rnnt", transducer={"ctc_weight": 0.5, "warmup": 10}).weights(4)
        {'ctc': 0.5, 'rnnt': 0.4}
        >>> [AsrConfig(flat_start=4).weights(step) for step in (1, 4)]
        [{'ctc': 0.25, 'flat': 0.75}, {'ctc': 1.0}]
        >>> AsrConfig(kind="rnnt", transducer={"warmup": 10}, flat_start=4).weights(1, training=False)
        {'ctc': 1.0, 'rnnt': 1.0}
        """
        rising = min(step / self.flat_start, 1.0) if self.flat_start and training else 1.0
        ctc = 1.0 if self.transducer is None else self.transducer.ctc_weight
        weights = {"ctc": rising * ctc}
        if rising < 1.0:
            weights["flat"] = (1.0 - rising) * ctc
        if self.transducer is not None:
            warmup = self.transducer.warmup
            weights["rnnt"] = min(step / warmup, 1.0) if warmup and training else 1.0
        return weights

    @property
    def distill_weights(self) -> dict[str, float]:
        """Full weights of the distillations, by name; 0 where there is none."""
        return {"ctc": self.distill_weight, "rnnt": self.transducer.distill_weight if self.transducer else 0.0}

    @property
    def distils(self) -> bool:
        """Whether the dense branch ever teaches the sparse one."""
        return any(self.distill_weights.values())

    @property
    def distill_shift(self) -> int:
        """``distill_shift_ms`` in frames of 40 ms."""
        return frames_from_ms(self.distill_shift_ms, "model_conf: distill_shift_ms")

    def distill_share(self, step: int, training: bool = True) -> float:
        """Return the share of the distillation weights that holds at update ``step``, counted from 1.

        >>> [AsrConfig(distill_after=10, distill_ramp=4).distill_share(step) for step in (10, 11, 14, 50)]
        [0.0, 0.25, 1.0, 1.0]
        >>> AsrConfig(distill_after=10).distill_share(1, training=False)  # so that epochs can be compared
        1.0
        """
        if not training:
            return 1.0
        return min(max(step - self.distill_after, 0) / max(self.distill_ramp, 1), 1.0)
