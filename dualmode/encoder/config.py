"""The encoder's configuration, checked once when it is built."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch

from dualmode.errors import UserError
from dualmode.supernet.pruning import PruningRule, make_granularity
from dualmode.supernet.subnet import Context, Subnet


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of the encoder and the sub-networks that it is trained for.

    Args:
        input_size: fbank bins.
        output_size: width of the model, d.
        num_blocks: Conformer blocks.
        attention_heads: heads; must divide ``output_size`` into even parts.
        linear_units: units of each feed-forward module.
        kernel_size: taps of the depthwise convolution, in frames of 40 ms; odd.
        subsampling_channels: channels of the two convolutions that subsample.
        dropout_rate: dropout after every module and inside the feed-forward modules.
        layer_drop_rate: share of the blocks that a branch of a training batch skips (Fan et al. 2020).
        gradient_checkpointing: keep only the blocks' inputs for the backward pass and compute the rest again: less
            memory, about a third more time.
        training_precision: "fp32", or "bf16" for matrix products of the training in bfloat16, on a device that is fast
            at it; weights, norms, losses, and everything outside the training stay in float32.
        separate_norms: whether each sub-network has LayerNorm parameters of its own.
        sparsities: targets of the masks, ascending, as shares of pruned weights of the blocks' Linear layers.
        granularity: what is pruned together: "blocks", "unstructured" (single weights), "n_of_m", or "units" (hidden
            units, heads and channels).
        block: rows (outputs) x columns (inputs) of blocks; [1, m] of n_of_m.
        scope: "layer" prunes every layer to the same share; "global" lets all layers compete.
        layer_share: least and largest share of a layer that global scope keeps.
        chunk_ms: chunks that the sparse streaming branch is trained with, one drawn for each batch; validation uses the
            first.  None in the list is the full context.
        left_ms, right_ms: left contexts and look-aheads past the chunk, drawn with them.
        head_size: of each head; by default ``output_size`` is shared among them.
        convolution_channels: of the convolution modules; by default ``output_size``.
    """

    input_size: int = 80
    output_size: int = 144
    num_blocks: int = 8
    attention_heads: int = 4
    linear_units: int = 576
    kernel_size: int = 15
    subsampling_channels: int = 64
    dropout_rate: float = 0.1
    layer_drop_rate: float = 0.0
    gradient_checkpointing: bool = False
    training_precision: str = "fp32"
    separate_norms: bool = True
    sparsities: Sequence[float] = (0.7,)
    granularity: str = "blocks"
    block: Sequence[int] = (8, 4)
    scope: str = "layer"
    layer_share: Sequence[float] = (0.0, 1.0)
    chunk_ms: Sequence[float | None] = (640,)
    left_ms: Sequence[float] = (1280,)
    right_ms: Sequence[float] = (0,)
    head_size: int | None = None
    convolution_channels: int | None = None

    def __post_init__(self):
        for name in (
            "input_size",
            "output_size",
            "num_blocks",
            "attention_heads",
            "linear_units",
            "kernel_size",
            "subsampling_channels",
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise UserError(f"encoder_conf: {name} is {value!r}: it must be a whole number of at least 1")
        for name in ("sparsities", "block", "layer_share", "chunk_ms", "left_ms", "right_ms"):
            value = getattr(self, name)
            if isinstance(value, (str, int, float)) or not value:
                raise UserError(f"encoder_conf: {name} is {value!r}: it must be a list of at least one number")
            object.__setattr__(self, name, tuple(value))
        if self.head_size is None:
            if self.output_size % (2 * self.attention_heads):
                raise UserError(
                    f"encoder_conf: {self.attention_heads} attention_heads do not divide an output_size of "
                    f"{self.output_size} into even parts, which rotary positions need"
                )
            object.__setattr__(self, "head_size", self.output_size // self.attention_heads)
        if self.convolution_channels is None:
            object.__setattr__(self, "convolution_channels", self.output_size)
        for name, multiple in (("head_size", 2), ("convolution_channels", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1 or value % multiple:
                raise UserError(f"encoder_conf: {name} is {value!r}: it must be a positive multiple of {multiple}")
        if self.kernel_size % 2 == 0:
            raise UserError(f"encoder_conf: kernel_size is {self.kernel_size}: it must be odd")
        for name in ("dropout_rate", "layer_drop_rate"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise UserError(f"encoder_conf: {name} is {getattr(self, name)}: it must be at least 0 and below 1")
        if self.training_precision not in ("fp32", "bf16"):
            raise UserError(f"encoder_conf: training_precision is {self.training_precision!r}: it must be fp32 or bf16")
        for name in ("gradient_checkpointing", "separate_norms"):
            if not isinstance(getattr(self, name), bool):
                raise UserError(f"encoder_conf: {name} is {getattr(self, name)!r}: it must be true or false")
        if list(self.sparsities) != sorted(set(self.sparsities)) or not all(0 < s < 1 for s in self.sparsities):
            raise UserError(
                f"encoder_conf: sparsities is {list(self.sparsities)}: it must ascend strictly between 0 and 1 "
                "(the dense sub-network, sparsity 0, is always there)"
            )
        try:
            self.pruning  # builds the rule, which checks it  # noqa: B018
        except UserError as error:
            raise UserError(f"encoder_conf: {error}") from None
        if self.chunk_ms[0] is None:
            raise UserError(
                "encoder_conf: chunk_ms begins with null: the first one is the streaming context of validation"
            )
        for name in ("left_ms", "right_ms"):
            if None in getattr(self, name):
                raise UserError(f"encoder_conf: {name} lists numbers of ms, not null")
        self.contexts  # builds every one, which checks it  # noqa: B018

    @property
    def pruning(self) -> PruningRule:
        """What the masks are made by."""
        granularity = make_granularity(self.granularity, self.block)
        return PruningRule(tuple(self.sparsities), granularity, self.scope, tuple(self.layer_share))

    @property
    def contexts(self) -> list[Context]:
        """Every context that the sparse branch is trained with."""
        chunked = [
            Context.from_ms(chunk, left, right)
            for chunk in self.chunk_ms
            if chunk is not None
            for left in self.left_ms
            for right in self.right_ms
        ]
        return chunked + [Context()] * (None in self.chunk_ms)

    def level(self, sparsity: float) -> int:
        """Return the index that :class:`MaskedLinear` knows ``sparsity`` by.

        Raises:
            UserError: the supernet holds no mask for this sparsity.
        """
        if sparsity == 0.0:
            return 0
        if sparsity not in self.sparsities:
            have = ", ".join(f"{s:g}" for s in self.sparsities)
            raise UserError(f"this supernet has no sub-network of sparsity {sparsity:g}; it has 0 (dense), {have}")
        return self.sparsities.index(sparsity) + 1

    def default_subnet(self) -> Subnet:
        """Return the sparse streaming sub-network that validation uses: the first of each list."""
        return Subnet(self.sparsities[0], self.contexts[0])

    def sample_subnet(self) -> Subnet:
        """Draw a sparse sub-network from torch's seeded generator.

        The highest sparsity is drawn for every other batch, and each of the others equally likely for the rest: with
        the dense branch, which every batch trains, the two ends of the range are trained most (the sandwich rule of Yu
        and Huang 2019, spread over batches).  Each entry of ``chunk_ms`` is equally likely, and each left context and
        look-ahead with it.
        """
        *others, highest = self.sparsities
        sparsity = _draw(others) if others and torch.rand(()).item() < 0.5 else highest
        chunk = _draw(self.chunk_ms)
        if chunk is None:
            return Subnet(sparsity, Context())
        return Subnet(sparsity, Context.from_ms(chunk, _draw(self.left_ms), _draw(self.right_ms)))

    def to_dict(self) -> dict:
        """Return the configuration as plain lists and numbers, for YAML and JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def _draw(values: Sequence):
    return values[torch.randint(len(values), ()).item()] if len(values) > 1 else values[0]
