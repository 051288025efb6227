"""Is the chunk-by-chunk pass the same function as the masked parallel one?  Both, layer by layer, on given audio."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dualmode.data.fbank import OnlineFbank, fbank
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.encoder.streaming import StreamingEncoder
from dualmode.frames import FRAME_MS, SAMPLE_RATE
from dualmode.supernet.subnet import Subnet

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Comparison:
    """How far two passes over the same audio are apart.

    Attributes:
        differences: the largest absolute one of each layer, in the order of computation.
        first_ms: where the first encoder frame begins whose final output differs by more than the tolerance; None if
            there is none.
        same_tokens: whether each frame's best token is the same; True where there is no head.
    """

    differences: dict[str, float]
    first_ms: int | None
    same_tokens: bool

    @property
    def equal(self) -> bool:
        """Whether what comes out is the same: inner layers are not normalised and may differ a little more."""
        return self.first_ms is None and self.same_tokens


def pieces_of(audio: np.ndarray, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Cut audio (samples,) into pieces of 10 ms to 1 s, as a network or a sound card might deliver them."""
    start = 0
    while start < len(audio):
        size = int(random.integers(SAMPLE_RATE // 100, SAMPLE_RATE + 1))
        yield audio[start : start + size]
        start += size


@contextlib.contextmanager
def recorded(encoder: DualModeEncoder) -> Iterator[dict[str, list[Tensor]]]:
    """Collect what the subsampling and every block put out, call by call, while the context lasts."""
    layers = {"subsampling": encoder.subsampling} | {f"block {i}": block for i, block in enumerate(encoder.blocks, 1)}
    outputs: dict[str, list[Tensor]] = {name: [] for name in layers}
    hooks = [
        layer.register_forward_hook(lambda module, inputs, output, name=name: outputs[name].append(output))
        for name, layer in layers.items()
    ]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


@torch.inference_mode()
def compare(
    encoder: DualModeEncoder,
    audio: np.ndarray,
    subnet: Subnet,
    pieces: Sequence[np.ndarray],
    posteriors: Callable[[Tensor], Tensor] | None = None,
) -> Comparison:
    """Run both passes as ``subnet`` from the audio on.

    Args:
        encoder: in evaluation mode.
        audio: (samples,) of 16 kHz in [-1, 1]; the parallel pass takes it whole.
        subnet: with a chunk.
        pieces: the same audio, as the streaming pass hears it.
        posteriors: the recogniser's head, maps (frames, d) to (frames, vocabulary).
    """
    whole = torch.from_numpy(fbank(audio))
    lengths = torch.tensor([len(whole)])
    with recorded(encoder) as outputs:
        encoded, frames = encoder(whole[None], lengths, subnet)
    count, chunk = int(frames), subnet.context.chunk
    layout = encoder.layout(frames, encoded.shape[1], subnet.context)
    parallel = {
        name: (layout.restore(x) if name.startswith("block") else x)[0, :count] for name, [x] in outputs.items()
    }
    parallel["output"] = encoded[0, :count]

    extractor, stream, heard, streamed_output = OnlineFbank(), StreamingEncoder(encoder, subnet), [], []
    with recorded(encoder) as outputs:
        for piece in [*pieces, None]:
            if piece is None:
                extractor.input_finished()
            else:
                extractor.accept_waveform(piece)
            heard.append(torch.from_numpy(extractor.take()))
            streamed_output += stream.accept([heard[-1]], [piece is None])
    streamed = {
        name: torch.cat([x[0, :chunk] for x in calls] or [encoded[0, :0]])[:count] for name, calls in outputs.items()
    }
    streamed["output"] = torch.cat(streamed_output)
    if posteriors is not None:
        for layers in (parallel, streamed):
            layers["log posteriors"] = posteriors(layers["output"])

    differences = {"features": largest_difference(whole, torch.cat(heard))}
    differences |= {name: largest_difference(x, streamed[name]) for name, x in parallel.items()}
    last = list(parallel)[-1]
    tokens = [layers[last].argmax(dim=-1) for layers in (parallel, streamed)]
    return Comparison(
        differences,
        first_difference(parallel["output"], streamed["output"]),
        posteriors is None or torch.equal(*tokens),
    )


def largest_difference(a: Tensor, b: Tensor) -> float:
    """Return the largest absolute difference of two tensors (frames, ...); infinity if their shapes differ."""
    if a.shape != b.shape:
        return float("inf")
    return (a - b).abs().max().item() if a.numel() else 0.0


def first_difference(a: Tensor, b: Tensor) -> int | None:
    """Return where, in ms, the first frame of (frames, d) begins that differs by more than the tolerance, or None."""
    common = min(len(a), len(b))
    wrong = (~((a[:common] - b[:common]).abs() <= TOLERANCE).all(dim=-1)).nonzero()
    if len(wrong):
        return int(wrong[0]) * FRAME_MS
    return None if len(a) == len(b) else common * FRAME_MS
