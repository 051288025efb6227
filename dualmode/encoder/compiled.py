"""Blocks compiled for the GPU that trains them."""

import sys
from collections.abc import Callable

import torch
from torch import Tensor

MOST_GRAPHS = 32  # dense and sparse branch, fixed and then any sizes, other numbers of kept units


def run_block(block: Callable, x: Tensor, *how) -> Tensor:
    """Run one block as it is."""
    return block(x, *how)


class CompiledBlocks:
    """Runs blocks by torch.compile: all blocks share what is compiled, and after a few batches all sizes do.

    Only on a GPU.  Where compiling fails, blocks run as they are from then on, and the terminal says so once.
    """

    def __init__(self):
        self.compiled: Callable | None = None
        self.failed = False

    def __call__(self, block: Callable, x: Tensor, *how) -> Tensor:
        """Run one block, compiled if that is possible."""
        if self.failed or x.device.type != "cuda":
            return block(x, *how)
        try:
            return self.compile()(block, x, *how)
        except torch._dynamo.exc.TorchDynamoException as error:
            self.failed = True
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            print(f"compile_blocks: the blocks cannot be compiled here, and run as they are: {reason}", file=sys.stderr)
            return block(x, *how)

    def compile(self) -> Callable:
        """Return the compiled function, made at its first use."""
        if self.compiled is None:
            torch._dynamo.config.cache_size_limit = MOST_GRAPHS
            self.compiled = torch.compile(run_block)
        return self.compiled

    def __deepcopy__(self, memo) -> "CompiledBlocks":
        return CompiledBlocks()
