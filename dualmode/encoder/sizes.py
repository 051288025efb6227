"""How large the encoder is: what its weights' shapes follow from."""

from dataclasses import dataclass

from dualmode.config import check_at_least, check_at_most
from dualmode.errors import UserError
from dualmode.frames import EXTRA, FACTOR

WHERE = "encoder_conf"
MOST_PARAMETERS = 20_000_000_000


@dataclass(frozen=True)
class Sizes:
    """Sizes of the encoder.

    Args:
        input_size: fbank bins.
        output_size: width of the model, d.
        num_blocks: Conformer blocks.
        attention_heads: heads; must divide ``output_size`` into even parts.
        linear_units: units of each feed-forward module.
        kernel_size: taps of the depthwise convolution, in frames of 40 ms; odd.
        subsampling_channels: channels of the two convolutions that subsample.
        separate_norms: whether each sub-network has LayerNorm parameters of its own.
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
    separate_norms: bool = True
    head_size: int | None = None
    convolution_channels: int | None = None

    def check_sizes(self) -> None:
        """Fill in what follows from other sizes; an impossible size is a UserError that names it."""
        check_at_least(
            WHERE,
            self,
            1,
            "input_size",
            "output_size",
            "num_blocks",
            "attention_heads",
            "linear_units",
            "kernel_size",
            "subsampling_channels",
        )
        check_at_least(WHERE, self, FACTOR + EXTRA, "input_size")  # bins, which are subsampled as frames are
        check_at_most(WHERE, self, 1000, "num_blocks", "kernel_size")
        if self.head_size is None:
            if self.output_size % (2 * self.attention_heads):
                raise UserError(
                    f"{WHERE}: {self.attention_heads} attention_heads do not divide an output_size of "
                    f"{self.output_size} into even parts, which rotary positions need"
                )
            object.__setattr__(self, "head_size", self.output_size // self.attention_heads)
        if self.convolution_channels is None:
            object.__setattr__(self, "convolution_channels", self.output_size)
        for name, multiple in (("head_size", 2), ("convolution_channels", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1 or value % multiple:
                raise UserError(f"{WHERE}: {name} is {value!r}: it must be a positive multiple of {multiple}")
        self._check_parameters()
        if self.kernel_size % 2 == 0:
            raise UserError(f"{WHERE}: kernel_size is {self.kernel_size}: it must be odd")
        if not isinstance(self.separate_norms, bool):
            raise UserError(f"{WHERE}: separate_norms is {self.separate_norms!r}: it must be true or false")

    def large_matrices(self) -> int:
        """Return the parameters of the large matrices of blocks and subsampling, which are nearly all."""
        assert self.head_size is not None and self.convolution_channels is not None
        width, attention = self.output_size, self.attention_heads * self.head_size
        convolution = self.convolution_channels * (3 * width + self.kernel_size)
        block = 4 * width * self.linear_units + 4 * width * attention + convolution
        channels = self.subsampling_channels
        return self.num_blocks * block + channels * (9 * channels + self.input_size * width // 4)

    def _check_parameters(self) -> None:
        """Raise UserError for sizes for which there is no memory."""
        if (total := self.large_matrices()) > MOST_PARAMETERS:
            raise UserError(
                f"{WHERE}: these sizes make an encoder of {total:.1e} parameters, more than the allowed "
                f"{MOST_PARAMETERS:.0e}: is one of output_size, num_blocks, linear_units, attention_heads, head_size, "
                "convolution_channels or subsampling_channels mistyped?"
            )
