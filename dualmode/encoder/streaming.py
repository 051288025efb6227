"""Streams of features in pieces of any size, encoded chunk by chunk, many streams in one batch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dualmode.encoder.conformer import DualModeEncoder
from dualmode.errors import UserError
from dualmode.frames import EXTRA, FACTOR
from dualmode.supernet.subnet import Subnet


class StreamingEncoder:
    """Encodes several streams, which may begin, end and be fed at different times::

        pieces in   stream 0  |--|-----|--|        stream 1  |---------|
        chunks run            |    0    |  ...               | 0  |    1 ...     batched where both have one ready

    Args:
        encoder: in evaluation mode.
        subnet: which weights and context, for all streams.
        streams: how many.

    Raises:
        UserError: the context cannot be streamed.
    """

    def __init__(self, encoder: DualModeEncoder, subnet: Subnet, streams: int = 1):
        self.encoder, self.subnet = encoder, subnet
        self.state = encoder.init_state(streams, subnet.context)
        self.pending = [encoder.normalize.mean.new_zeros(0, encoder.config.input_size) for _ in range(streams)]
        self._shift = FACTOR * subnet.context.chunk
        self._window = FACTOR * (subnet.context.chunk + subnet.context.lookahead) + EXTRA

    def reset(self, stream: int) -> None:
        """Make one stream as if it had heard nothing; the others go on."""
        self.state = self.state.reset(stream)
        self.pending[stream] = self.pending[stream][:0]

    @torch.inference_mode()
    def accept(self, pieces: Sequence[Tensor | None], final: Sequence[bool] | None = None) -> list[Tensor]:
        """Take more features and run every chunk that is complete.

        Args:
            pieces: for each stream, features (frames of 10 ms, bins) of any number, or None.
            final: for each stream, whether it ends here, so that its last, shorter chunk is run as well; it has to be
                reset before it is used again.

        Returns:
            for each stream, the new encoder frames (frames of 40 ms, d), often none.
        """
        if len(pieces) != len(self.pending) or (final is not None and len(final) != len(pieces)):
            raise UserError(f"this encoder has {len(self.pending)} streams, but got {len(pieces)} pieces of features")
        final = final or [False] * len(pieces)
        for stream, piece in enumerate(pieces):
            if piece is not None:
                self.pending[stream] = torch.cat([self.pending[stream], piece.to(self.pending[stream])])
        outputs: list[list[Tensor]] = [[] for _ in pieces]
        while ready := [stream for stream in range(len(pieces)) if self._ready(stream, final[stream])]:
            for stream, output in zip(ready, self._run(ready), strict=True):
                outputs[stream].append(output)
                self.pending[stream] = self.pending[stream][self._shift :]
        nothing = self.state.keys.new_zeros(0, self.encoder.config.output_size)
        return [torch.cat(output) if output else nothing for output in outputs]

    def _ready(self, stream: int, final: bool) -> bool:
        return len(self.pending[stream]) >= (FACTOR + EXTRA if final else self._window)

    def _run(self, streams: list[int]) -> list[Tensor]:
        """Run one chunk of each of ``streams``; return the frames of each."""
        chunks = [self.pending[stream][: self._window] for stream in streams]
        lengths = torch.tensor([len(chunk) for chunk in chunks], device=self.state.seen.device)
        features = torch.nn.utils.rnn.pad_sequence(chunks, batch_first=True)
        index = torch.tensor(streams, device=self.state.seen.device)
        whole = len(streams) == len(self.pending)
        state = self.state if whole else self.state.select(index)
        encoded, frames, state = self.encoder.forward_chunk(features, lengths, state, self.subnet)
        self.state = state if whole else self.state.put(index, state)
        return [row[:count] for row, count in zip(encoded, frames.tolist(), strict=True)]
