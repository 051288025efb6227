"""A sub-network of the supernet: which weights, and which context.

The two axes are independent, so all four corners exist in one set of weights::

                    full context            chunk + left context
    dense           server product          ablation
    sparse          ablation                device product
"""

from dataclasses import dataclass

from dualmode_runtime.errors import UserError
from dualmode_runtime.frames import FRAME_MS, LAST_FRAME_MS, frames_from_ms


@dataclass(frozen=True)
class Context:
    """What a frame sees, in encoder frames of 40 ms.

    With ``chunk=3, left=2`` (rows look, columns are seen; chunks are ``ABC DEF GHI``)::

          A B C D E F G H I
        A x x x
        E   x x x x x
        H         x x x x x

    With ``lookahead=1``, A to C see D as well, D to F see G, and so on: the look-ahead past the chunk.  It costs
    ``lookahead`` more frames of waiting, and ``lookahead / chunk`` more computation, since every block computes the
    frames looked ahead at once more for the chunk that they belong to.

    Args:
        chunk: frames in a chunk; a frame sees its whole chunk.  None is the whole utterance.
        left: frames seen before the chunk's first one; a chunk needs it, since a stream's caches are of fixed size.
        lookahead: frames seen after the chunk's last one.
    """

    chunk: int | None = None
    left: int | None = None
    lookahead: int = 0

    def __post_init__(self):
        if self.chunk is None:
            if self.left is not None:
                raise UserError(f"a left context of {self.left} frames needs a chunk: the full context sees everything")
            if self.lookahead:
                raise UserError(
                    f"a look-ahead of {self.lookahead} frames needs a chunk: the full context sees everything"
                )
            return
        if self.chunk < 1:
            raise UserError(f"the chunk is {self.chunk} frames of {FRAME_MS} ms: it must be at least 1")
        if self.left is None:
            raise UserError(
                f"a chunk of {self.chunk_ms} ms needs a left context, such as 1280 ms: caches are of fixed size"
            )
        if self.left < 0:
            raise UserError(f"the left context is {self.left} frames of {FRAME_MS} ms: it must be 0 or more")
        if self.lookahead < 0:
            raise UserError(f"the look-ahead is {self.lookahead} frames of {FRAME_MS} ms: it must be 0 or more")

    @classmethod
    def from_ms(cls, chunk_ms: float | None, left_ms: float | None = None, lookahead_ms: float = 0) -> "Context":
        """Build a context from ms, as users give it.

        >>> Context.from_ms(640, 1280)
        Context(chunk=16, left=32, lookahead=0)
        """
        chunk = None if chunk_ms is None else frames_from_ms(chunk_ms, "the chunk")
        left = None if left_ms is None else frames_from_ms(left_ms, "the left context")
        return cls(chunk, left, frames_from_ms(lookahead_ms, "the look-ahead"))

    @property
    def chunk_ms(self) -> int | None:
        return None if self.chunk is None else self.chunk * FRAME_MS

    @property
    def left_ms(self) -> int | None:
        return None if self.left is None else self.left * FRAME_MS

    @property
    def lookahead_ms(self) -> int | None:
        return None if self.chunk is None else self.lookahead * FRAME_MS

    @property
    def latency_ms(self) -> float | None:
        """Algorithmic latency: the audio heard between a frame's beginning and its output, at most; None if unbounded.

        The frame that opens a chunk waits longest, for chunk and look-ahead, and for the audio that the last of their
        frames sees past its own 40 ms: 7 feature frames, 10 ms apart and 25 ms long, reach 37.5 ms further.

        >>> Context(16, 32).latency_ms
        677.5
        """
        return None if self.chunk is None else (self.chunk + self.lookahead) * FRAME_MS + LAST_FRAME_MS

    def __str__(self) -> str:
        if self.chunk is None:
            return "full context"
        ahead = f"look-ahead past the chunk {self.lookahead_ms} ms"
        return f"chunk {self.chunk_ms} ms, left context {self.left_ms} ms, {ahead}"


@dataclass(frozen=True)
class Subnet:
    """One runnable sub-network: a share of weights that are off, and a context.

    >>> print(Subnet(0.7, Context(16, 32)))
    sparse 70 %, chunk 640 ms, left context 1280 ms, look-ahead past the chunk 0 ms
    """

    sparsity: float = 0.0
    context: Context = Context()

    def __post_init__(self):
        if not 0.0 <= self.sparsity < 1.0:
            raise UserError(f"the sparsity is {self.sparsity}: it must be at least 0 (dense) and below 1")

    def __str__(self) -> str:
        weights = "dense" if self.sparsity == 0 else f"sparse {100 * self.sparsity:g} %"
        return f"{weights}, {self.context}"


DENSE = Subnet()
