"""A sub-network of the supernet: which weights, and which context.

The two axes are independent, so all four corners exist in one set of weights::

                    full context            chunk + left context
    dense           server product          ablation
    sparse          ablation                device product
"""

from dataclasses import dataclass

from dualmode.errors import UserError

FRAME_MS = 40  # one encoder frame: four 10 ms feature frames


def frames_from_ms(ms: float, what: str) -> int:
    """Return ``ms`` in encoder frames; ``what`` names the setting in the error.

    >>> frames_from_ms(640, "chunk")
    16

    Raises:
        UserError: ``ms`` is no multiple of the encoder frame of 40 ms.
    """
    if ms != ms or ms % FRAME_MS:
        raise UserError(f"{what} is {ms:g} ms: it must be a multiple of the encoder frame of {FRAME_MS} ms")
    return int(ms // FRAME_MS)


@dataclass(frozen=True)
class Context:
    """What a frame sees, in encoder frames of 40 ms.

    With ``chunk=3, left=2`` (rows look, columns are seen; chunks are ``ABC DEF GHI``)::

          A B C D E F G H I
        A x x x
        E   x x x x x
        H         x x x x x

    Args:
        chunk: frames in a chunk; a frame sees its whole chunk.  None is the whole utterance.
        left: frames seen before the chunk's first one.  None is all of them.
    """

    chunk: int | None = None
    left: int | None = None

    def __post_init__(self):
        if self.chunk is None and self.left is not None:
            raise UserError(f"a left context of {self.left} frames needs a chunk: the full context sees everything")
        if self.chunk is not None and self.chunk < 1:
            raise UserError(f"the chunk is {self.chunk} frames of {FRAME_MS} ms: it must be at least 1")
        if self.left is not None and self.left < 0:
            raise UserError(f"the left context is {self.left} frames of {FRAME_MS} ms: it must be 0 or more")

    @classmethod
    def from_ms(cls, chunk_ms: float | None, left_ms: float | None = None) -> "Context":
        """Build a context from ms, as users give it.

        >>> Context.from_ms(640, 1280)
        Context(chunk=16, left=32)
        """
        chunk = None if chunk_ms is None else frames_from_ms(chunk_ms, "the chunk")
        left = None if left_ms is None else frames_from_ms(left_ms, "the left context")
        return cls(chunk, left)

    @property
    def chunk_ms(self) -> int | None:
        return None if self.chunk is None else self.chunk * FRAME_MS

    @property
    def left_ms(self) -> int | None:
        return None if self.left is None else self.left * FRAME_MS

    def __str__(self) -> str:
        if self.chunk is None:
            return "full context"
        left = "all" if self.left is None else f"{self.left_ms} ms"
        return f"chunk {self.chunk_ms} ms, left context {left}, look-ahead past the chunk 0 ms"


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
