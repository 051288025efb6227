"""The dual-mode Conformer encoder: one set of weights, run as any :class:`Subnet`.

Blocks are those of Gulati et al. (2020), "Conformer", with rotary positions, LayerNorm (with a row for each mask)
instead of BatchNorm, and a convolution that respects chunks.  Two passes run the same blocks over the same features,
arranged by :mod:`dualmode.encoder.layout`:

    encode()         all frames of a batch at once
    forward_chunk()  one chunk of each stream, with caches
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dualmode.encoder.attention import Attention
from dualmode.encoder.compiled import CompiledBlocks, run_block
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.convolution import Convolution
from dualmode.encoder.dropout import Dropout
from dualmode.encoder.feed_forward import FeedForward
from dualmode.encoder.layout import Layout, ParallelChunks, StreamingChunk, WholeUtterances, as_factor, never_empty
from dualmode.encoder.padding import valid_frames
from dualmode.encoder.rotation import Rotation
from dualmode.encoder.state import StreamState
from dualmode.encoder.subsampling import GlobalNorm, Subsampling
from dualmode.errors import UserError
from dualmode.frames import EXTRA, FACTOR, subsampled
from dualmode.supernet.masked_linear import prunable
from dualmode.supernet.precision import at_least_float32
from dualmode.supernet.pruning import check_prunable
from dualmode.supernet.subnet import DENSE, Context, Subnet
from dualmode.supernet.subnet_norm import SubnetNorm
from dualmode.supernet.units import Kept
from dualmode.supernet.view import View

KeptOfBlock = tuple[Kept | None, Kept | None, Kept | None, Kept | None]
ALL_UNITS: KeptOfBlock = (None, None, None, None)


class Block(nn.Module):
    """Half feed-forward, attention, convolution, half feed-forward, each around a residual, then a norm."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        size, levels = config.output_size, len(config.masked)
        self.ffn1 = FeedForward(size, config.linear_units, config.dropout_rate, levels)
        self.attention = Attention(size, config.attention_heads, config.head_size, levels)
        self.convolution = Convolution(
            size, config.convolution_channels, config.kernel_size, levels, config.separate_norms
        )
        self.ffn2 = FeedForward(size, config.linear_units, config.dropout_rate, levels)
        self.norms = nn.ModuleList(SubnetNorm(size, levels, config.separate_norms) for _ in range(5))
        self.dropout = Dropout(config.dropout_rate)
        start_as_identity(self)

    def kept(self, view: View) -> KeptOfBlock:
        """Return what ``view`` keeps of each module; None four times where masks prune no whole units."""
        first, attention, convolution, second = self.ffn1, self.attention, self.convolution, self.ffn2
        return view.kept(first), view.kept(attention), view.kept(convolution), view.kept(second)

    def forward(self, x: Tensor, view: View, layout: Layout, kept: KeptOfBlock = ALL_UNITS) -> Tensor:
        """Map x (rows, frames, d) to the same shape, as ``layout`` arranges the rows.

        With what :meth:`kept` returns, pruned units are left out of all products; without, masks are multiplied in.
        """
        first, attention, convolution, second = kept
        x = torch.add(x, self.dropout(self.ffn1(self.norms[0](x, view), view, first)), alpha=0.5)
        x = x + self.dropout(self.attention(self.norms[1](x, view), view, layout, attention))
        x = x + self.dropout(self.convolution(self.norms[2](x, view), view, layout, convolution))
        x = torch.add(x, self.dropout(self.ffn2(self.norms[3](x, view), view, second)), alpha=0.5)
        return self.norms[4](x, view)


@torch.no_grad()
def start_as_identity(block: Block) -> None:
    """Set the last layer of every residual branch to zero, so that the block passes on what it is given.

    Random branches hide the input at the start: what attention over the full context adds is nearly the same at all
    frames, and LayerNorm, other than BatchNorm, does not take away what is constant over time.  Branches that start at
    zero come from De and Smith (2020), "Batch Normalization Biases Residual Blocks Towards the Identity Function"
    (arXiv 2002.10444), and Bachlechner et al. (2020), "ReZero is All You Need" (2003.04887).  The magnitudes that
    pruning ranks are from then on what training made of these weights.
    """
    for layer in (block.ffn1.down, block.attention.out, block.convolution.project, block.ffn2.down):
        layer.weight.zero_()
        layer.bias.zero_()


@torch.no_grad()
def give_weights(encoder: nn.Module) -> None:
    """Give a fresh encoder random weights where :func:`start_as_identity` has left zeros.

    For checks and measurements without a training: zeros would pass on anything, and cost an engine nothing.
    """
    for _, layer in prunable(encoder):
        layer.reset_parameters()


def nothing_of(module: nn.Module) -> Tensor:
    """Return 0 () that depends on all parameters: several GPUs wait for a gradient of each, of a dropped block too."""
    return 0.0 * torch.stack([parameter.flatten()[0] for parameter in module.parameters()]).sum()


class DualModeEncoder(nn.Module):
    """Normalisation, subsampling and Conformer blocks, shared by all sub-networks.

    The sub-network is an argument of every pass; the module holds no mode.
    """

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.config = config
        self.normalize = GlobalNorm(config.input_size)
        self.subsampling = Subsampling(config.input_size, config.subsampling_channels, config.output_size)
        self.dropout = Dropout(config.dropout_rate)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_blocks))
        self.draws = torch.Generator()  # of what all processes of a training draw alike: contexts, sparsities, layers
        self.run_block = CompiledBlocks() if config.compile_blocks else run_block
        check_prunable(self, config.pruning)
        if config.importance == "activations":
            for _, layer in prunable(self):
                layer.hold_input_norms()

    def embed(
        self, features: Tensor, lengths: Tensor, augment: Callable[[Tensor, Tensor], Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Normalise and subsample; the same for every sub-network, so done once for all branches.

        Args:
            features: (batch, feature frames of 10 ms, bins), padded.
            lengths: (batch,), real feature frames.
            augment: applied to the normalised features (SpecAugment).

        Returns:
            (batch, frames of 40 ms, d) and the real frames of each, (batch,).
        """
        x = self.normalize(features)
        if augment is not None:
            x = augment(x, lengths)
        short = FACTOR + EXTRA - x.shape[1]
        if short > 0:
            x = F.pad(x, (0, 0, 0, short))
        with self._precision(x.device):
            return at_least_float32(self.subsampling(x)), subsampled(lengths)

    def encode(self, x: Tensor, lengths: Tensor, subnet: Subnet) -> Tensor:
        """Run the blocks over whole utterances, as ``subnet``.

        Args:
            x: (batch, frames of 40 ms, d), padded, as :meth:`embed` gives it.
            lengths: (batch,), real frames.
            subnet: which weights, which context.

        Returns:
            (batch, frames, d); what lies past an utterance's length has no meaning.
        """
        view = self.config.view(subnet.sparsity)
        layout = self.layout(lengths, x.shape[1], subnet.context)
        x = layout.arrange(self.dropout(x))
        with self._precision(x.device):
            for block in self.blocks:
                assert isinstance(block, Block)
                x = self._run(block, x, view, layout)
        return layout.restore(x)

    def _run(self, block: Block, x: Tensor, view: View, layout: Layout) -> Tensor:
        """Run one block, with what training may do about it."""
        if self.training and self.config.layer_drop_rate:
            if torch.rand((), generator=self.draws).item() < self.config.layer_drop_rate:
                return x + nothing_of(block)
        kept = block.kept(view)
        if not self.training:
            return block(x, view, layout, kept)
        if self.config.gradient_checkpointing:
            return checkpoint(self.run_block, block, x, view, layout, kept, use_reentrant=False)
        return self.run_block(block, x, view, layout, kept)

    def _precision(self, device: torch.device) -> torch.autocast:
        """Return the context in which training multiplies matrices, in bfloat16 if the configuration says so.

        Else what surrounds the encoder decides, such as mixed precision in float16.
        """
        lower = self.training and self.config.training_precision == "bf16"
        dtype = torch.bfloat16 if lower else None  # None is that of the surroundings
        return torch.autocast(device.type, dtype, enabled=lower or torch.is_autocast_enabled(device.type))

    def layout(self, lengths: Tensor, frames: int, context: Context) -> WholeUtterances | ParallelChunks:
        """Return how the parallel pass over a batch with ``lengths`` (batch,) of ``frames`` frames is arranged."""
        dtype = self.normalize.mean.dtype
        if context.chunk is None:
            return WholeUtterances.make(lengths, frames, self.config.head_size, dtype)
        return ParallelChunks.make(lengths, frames, context, self.config.head_size, dtype)

    def forward(self, features: Tensor, lengths: Tensor, subnet: Subnet = DENSE) -> tuple[Tensor, Tensor]:
        """Map features (batch, feature frames, bins) to (batch, frames of 40 ms, d) and the real frames of each."""
        x, lengths = self.embed(features, lengths)
        return self.encode(x, lengths, subnet), lengths

    def init_state(self, batch: int, context: Context) -> StreamState:
        """Return the state of ``batch`` streams that have heard nothing.

        Raises:
            UserError: the full context cannot be streamed.
        """
        if context.chunk is None:
            raise UserError(f"streaming needs a chunk; this sub-network has the {context}")
        config, like = self.config, self.normalize.mean
        cache = like.new_zeros(batch, config.num_blocks, context.left, config.attention_heads, self.config.head_size)
        return StreamState(
            keys=cache,
            values=cache,
            convolution=like.new_zeros(batch, config.num_blocks, config.kernel_size // 2, config.convolution_channels),
            seen=torch.zeros(batch, dtype=torch.long, device=like.device),
        )

    def forward_chunk(
        self, features: Tensor, lengths: Tensor, state: StreamState, subnet: Subnet
    ) -> tuple[Tensor, Tensor, StreamState]:
        """Encode the next chunk of each stream of a batch; :class:`StreamingEncoder` cuts audio into these.

        Args:
            features: (batch, 4 * (chunk + right) + 3, bins), or fewer near the end; the next call starts 4 * chunk
                feature frames later::

                    call 0   |---- chunk ----|- right -|...
                    call 1                   |---- chunk ----|- right -|...

            lengths: (batch,), real feature frames of each; fewer than the above only where the stream ends.
            state: as :meth:`init_state` or the call before gave it.
            subnet: the same at every call of a stream.

        Returns:
            (batch, up to chunk frames, d), the real frames of each stream (batch,), and the new state.
        """
        view, context = self.config.view(subnet.sparsity), subnet.context
        x, lengths = self.embed(features, lengths)
        frames = x.shape[1]
        valid = valid_frames(lengths, frames)
        exists = torch.arange(context.left, device=x.device) >= context.left - state.seen[:, None]
        allowed = never_empty(torch.cat([exists, valid], dim=1))
        rotation = Rotation.at(torch.arange(context.left + frames, device=x.device), self.config.head_size, x.dtype)
        real = as_factor(valid, x.dtype)
        caches = []
        for index, block in enumerate(self.blocks):
            layout = StreamingChunk(context, real, allowed, rotation, state.cache(index))
            x = block(x, view, layout)
            caches.append(layout.cache)
        lengths = lengths.clamp(max=context.chunk)
        return x[:, : context.chunk], lengths, StreamState.join(caches, state.seen + lengths)
