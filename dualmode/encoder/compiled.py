"""Blocks compiled for the GPU that trains them."""

import logging
import sys
from collections.abc import Callable

import torch
from torch import Tensor

MOST_GRAPHS = 32  # full context and chunks, fixed and then any sizes, all units and kept ones; eight are usual
NAME = "compile_blocks"


def run_block(block: Callable, x: Tensor, *how) -> Tensor:
    """Run one block as it is."""
    return block(x, *how)


class CompiledBlocks:
    """Runs blocks by torch.compile: all blocks share what is compiled, and after a few batches all sizes do.

    Each compilation takes a minute and is logged.  They end when there are ``most``, or when one fails, which the
    terminal says once: from then on a block runs compiled where a graph that is there fits, and else as it is.

    Args:
        most: graphs that may be compiled.
        backend: of torch.compile.
        device: kind of device whose blocks are compiled; others run as they are.  What a CPU runs in the place of
            torch's depthwise convolution gets wrong gradients from tracing.

    Attributes:
        graphs: how many have been compiled.
    """

    def __init__(self, most: int = MOST_GRAPHS, backend: str = "inductor", device: str = "cuda"):
        self.most, self.backend, self.device = most, backend, device
        self.graphs = 0
        self.closed = False  # whether no more may be compiled
        self.compiled: Callable | None = None

    def __call__(self, block: Callable, x: Tensor, *how) -> Tensor:
        """Run one block, compiled if that is possible."""
        if x.device.type != self.device:
            return block(x, *how)
        if not self.closed:
            try:
                return self.compile()(block, x, *how)
            except torch._dynamo.exc.TorchDynamoException as error:
                reason = " ".join(str(error).splitlines()[:2]) or type(error).__name__
                self.close(f"the blocks cannot be compiled here: {reason}")
        with torch.compiler.set_stance("eager_on_recompile"):
            return self.compile()(block, x, *how)

    def compile(self) -> Callable:
        """Return the compiled function, made at its first use."""
        if self.compiled is None:
            # PyTorch's own limit is met without a word, so that ours has to come first.
            torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, self.most + 1)
            self.compiled = torch.compile(run_block, backend=self.count)
        return self.compiled

    def count(self, graph: torch.fx.GraphModule, inputs: list) -> Callable:
        """Be the backend of torch.compile: count and log a graph, and hand it on."""
        from torch._dynamo import lookup_backend  # imports what there is of ONNX, and takes seconds

        self.graphs += 1
        logging.info(f"{NAME}: compiling graph {self.graphs} of at most {self.most}")
        compiled = lookup_backend(self.backend)(graph, inputs)
        if self.graphs == self.most:
            self.close(f"{self.most} graphs are compiled, which is the most there may be")
        return compiled

    def close(self, why: str) -> None:
        """Compile nothing from now on."""
        self.closed = True
        sentence = f"{NAME}: {why}; blocks that fit no compiled graph run as they are from now on"
        logging.warning(sentence)
        print(sentence, file=sys.stderr, flush=True)

    def __deepcopy__(self, memo) -> "CompiledBlocks":
        return CompiledBlocks(self.most, self.backend, self.device)
