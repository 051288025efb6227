"""Settings of the pre-training, checked once when they are read."""

from collections.abc import Mapping
from dataclasses import dataclass

from dualmode.config import check_at_least, check_at_most, from_mapping
from dualmode.errors import UserError


@dataclass(frozen=True)
class MaskConfig:
    """Which frames are hidden; what both kinds of targets share.

    Args:
        mask_start: probability that a span of hidden frames starts at an encoder frame of 40 ms.
        mask_span: encoder frames of 40 ms in a span.
        mask_gap: fewest visible encoder frames of 40 ms between two spans; None lets spans overlap, as wav2vec 2.0
            does.
        visible_weight: weight of the same loss at the frames that are not hidden; 0 in wav2vec 2.0 and BEST-RQ, and
            (1 - alpha) / alpha in HuBERT (Hsu et al. 2021, equation 2).  A visible frame is told from itself: layers
            learn that first, and hidden frames build on it, which a short training does not get to otherwise.
        feature_penalty: weight of the mean square of the subsampled features before the encoder.
    """

    mask_start: float = 0.13
    mask_span: int = 5
    mask_gap: int | None = None
    visible_weight: float = 0.0
    feature_penalty: float = 0.0

    def __post_init__(self):
        check_at_least("model_conf", self, 1, "mask_span")
        check_at_least("model_conf", self, 0.0, "visible_weight", "feature_penalty")
        if self.mask_gap is not None:
            check_at_least("model_conf", self, 0, "mask_gap")
        if not 0 < self.mask_start < 1:
            raise UserError(f"model_conf: mask_start is {self.mask_start}: it must be between 0 and 1")


@dataclass(frozen=True)
class ContrastiveConfig(MaskConfig):
    """Settings of the targets of wav2vec 2.0 (Baevski et al. 2020).

    The paper's values, for its frames of 20 ms, and the same in ours of 40 ms::

        paper                                       here
        a span starts at 6.5 % of frames            mask_start: 0.13       3.25 starts a second
        10 frames a span                            mask_span: 5           200 ms
        2 codebooks of 320 entries                  groups: 2, entries: 320
        100 distractors of the same utterance       distractors: 100       of half as many hidden frames
        temperature of the similarity 0.1           similarity_scale: 0.1
        diversity weight 0.1                        diversity_weight: 0.1  summed over frames there, mean here
        feature penalty 10                          feature_penalty: 10    of learned features of the waveform there
        Gumbel temperature 2 -> 0.5, x 0.999995     temperature: [2.0, 0.5, 0.999995]

    The paper's temperature falls for 277 thousand of its 400 thousand updates of 1.6 h of audio.  A run of N updates
    keeps that share with a factor of 0.25 ** (1 / (0.69 * N)): 0.995 for 400 updates.

    Args:
        groups: codebooks of the quantizer.
        entries: entries of each.
        target_size: size of quantised vectors and of the vectors compared with them.
        distractors: wrong answers for each frame that is asked for, drawn from those of its utterance.  The paper asks
            for hidden frames alone; with a ``visible_weight`` they are all asked for, and about half are visible.
        similarity_scale: what cosine similarities are divided by.
        diversity_weight: weight of the loss that keeps all entries in use.
        temperature: of the Gumbel softmax: at the start, at the end, and the factor of each update.
        quantizer_hears: whose losses train the quantizer: "both" branches', or those of the "dense" one alone, with the
            gradient of the streaming branch stopped at the targets, as UFO2 does (Fu et al. 2022, arXiv 2210.14515).
    """

    groups: int = 2
    entries: int = 64
    target_size: int = 128
    distractors: int = 50
    similarity_scale: float = 0.1
    diversity_weight: float = 1.0
    temperature: tuple[float, float, float] = (1.0, 0.5, 0.999)
    quantizer_hears: str = "both"

    def __post_init__(self):
        super().__post_init__()
        check_at_least("model_conf", self, 1, "groups", "entries", "target_size", "distractors")
        check_at_most("model_conf", self, 1 << 14, "groups", "entries", "target_size", "distractors")
        check_at_least("model_conf", self, 0.0, "diversity_weight")
        if self.quantizer_hears not in ("both", "dense"):
            raise UserError(f"model_conf: quantizer_hears is {self.quantizer_hears!r}: it must be both or dense")
        if not self.similarity_scale > 0:
            raise UserError(f"model_conf: similarity_scale is {self.similarity_scale}: it must be above 0")
        if self.target_size % self.groups:
            raise UserError(f"model_conf: {self.groups} groups do not divide a target_size of {self.target_size}")
        if len(self.temperature) != 3 or min(self.temperature) <= 0:
            raise UserError("model_conf: temperature must be [start, end, factor of each update], all above 0")
        start, end, factor = self.temperature
        if end > start or factor > 1:
            raise UserError(
                f"model_conf: temperature is {list(self.temperature)}: it falls, so the end must be at most the start, "
                "and the factor of each update at most 1"
            )


@dataclass(frozen=True)
class BestRqConfig(MaskConfig):
    """Settings of the targets of BEST-RQ (Chiu et al. 2022).

    The paper hides spans of 400 ms that start at 1 % of its feature frames of 10 ms: mask_start 0.04 and mask_span 10
    in frames of 40 ms.

    Args:
        groups: random codebooks, each predicted by its own softmax; the paper has one.
        entries: entries of each, 8192 in the paper.
        target_size: size of the random projection and of the entries, 16 in the paper.
    """

    groups: int = 1
    entries: int = 8192
    target_size: int = 16

    def __post_init__(self):
        super().__post_init__()
        check_at_least("model_conf", self, 1, "groups", "target_size")
        check_at_least("model_conf", self, 2, "entries")
        check_at_most("model_conf", self, 1 << 16, "groups", "entries", "target_size")


CONFIGS = {"contrastive": ContrastiveConfig, "best_rq": BestRqConfig}


def read_config(values: Mapping) -> ContrastiveConfig | BestRqConfig:
    """Build the settings that ``values`` (model_conf) chooses by its key ``targets``; contrastive is the default.

    >>> read_config({"targets": "best_rq", "entries": 1024}).entries
    1024

    Raises:
        UserError: an unknown kind of targets, a key that it does not have, or an impossible value, named.
    """
    values = dict(values)
    kind = values.pop("targets", "contrastive")
    if kind not in CONFIGS:
        raise UserError(f"model_conf: targets is {kind!r}: it must be {' or '.join(CONFIGS)}")
    return from_mapping(CONFIGS[kind], values, f"model_conf with targets {kind}")
