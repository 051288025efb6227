"""How long a chunk takes and how large the file is: our engine, PyTorch and, where it is installed, ONNX Runtime.

One encoder of about 31 million random weights (no two matrices are alike: runtimes share equal ones), one thread.  All
engines take turns, one chunk a turn, so that a slow moment of the machine hits all of them; what they read comes from
main memory, as in a device that does something else between two chunks.  A figure is the median over the turns.
"""

import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dualmode.asr.build import build_recogniser
from dualmode.asr.model import Recogniser
from dualmode.device.engine import Device
from dualmode.device.pack import pack_model
from dualmode.encoder.frames import EXTRA, FACTOR
from dualmode.encoder.state import StreamState
from dualmode.progress import progress
from dualmode.supernet.pruning import estimate_masks
from dualmode.supernet.storage import materialise
from dualmode.supernet.subnet import Context, Subnet

ENCODER = {
    "output_size": 256,
    "num_blocks": 12,
    "attention_heads": 4,
    "linear_units": 2048,
    "kernel_size": 15,
    "subsampling_channels": 64,
}
VOCABULARY = 100
BLOCKS = ((16, 4), (8, 4), (4, 4))


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        engine: dualmode-int8, dualmode-fp32, torch-fp32, onnxruntime-int8 or onnxruntime-fp32.
        precision: of the weights.
        sparsity: share of pruned weights; 0 is dense.
        block: outputs x inputs that are pruned together; empty for a dense sub-network.
        chunk_ms: audio that a chunk covers.
        ms: median time of a chunk: normalisation, subsampling, blocks and CTC head, without the fbank.
        bytes: of the file, or of the parameters where there is none.
    """

    engine: str
    precision: str
    sparsity: float
    block: str
    chunk_ms: int
    ms: float
    bytes: int


@dataclass(frozen=True)
class _Entrant:
    row: Row
    run: Callable[[np.ndarray], object]


def _model(sparsity: float, block: Sequence[int], encoder: dict) -> Recogniser:
    """Return a recogniser of random weights, pruned for good; the seed is always the same."""
    torch.manual_seed(0)
    conf = encoder | {"sparsities": [sparsity or 0.5], "block": list(block)}
    tokens = ["<blank>", "<unk>", *(f"token{number}" for number in range(VOCABULARY - 2))]
    model = build_recogniser({"encoder_conf": conf}, tokens).eval()
    if sparsity:
        estimate_masks(model, [sparsity], block)
        materialise(model, 1)
    return model


class _Streamed(nn.Module):
    """One chunk of a stream with its state as plain tensors, as an ONNX graph wants it."""

    def __init__(self, model: Recogniser, context: Context):
        super().__init__()
        self.model, self.subnet = model, Subnet(0.0, context)

    def forward(self, features: Tensor, keys: Tensor, values: Tensor, convolution: Tensor, seen: Tensor):
        lengths = torch.tensor([features.shape[1]])
        state = StreamState(keys, values, convolution, seen)
        encoded, _, state = self.model.encoder.forward_chunk(features, lengths, state, self.subnet)
        return self.model.head(encoded), state.keys, state.values, state.convolution, state.seen


def _torch_entrant(model: Recogniser, context: Context) -> _Entrant:
    streamed, state = _Streamed(model, context), [model.encoder.init_state(1, context)]

    @torch.inference_mode()
    def run(features: np.ndarray) -> None:
        old = state[0]
        _, *new = streamed(torch.from_numpy(features)[None], old.keys, old.values, old.convolution, old.seen)
        state[0] = StreamState(*new)

    size = sum(4 * parameter.numel() for parameter in model.parameters())
    return _Entrant(Row("torch-fp32", "fp32", 0.0, "", context.chunk_ms, 0.0, size), run)


def _onnx_entrants(model: Recogniser, context: Context, folder: Path) -> Iterator[_Entrant]:
    """Yield the dense encoder in ONNX Runtime, as floats and with dynamically quantised matrix products."""
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    state = model.encoder.init_state(1, context)
    features = torch.zeros(1, FACTOR * context.chunk + EXTRA, model.encoder.config.input_size)
    example = (features, state.keys, state.values, state.convolution, state.seen)
    names = ["features", "keys", "values", "convolution", "seen"]
    paths = {precision: folder / f"{context.chunk_ms}.{precision}.onnx" for precision in ("fp32", "int8")}
    with torch.inference_mode():
        torch.onnx.export(
            _Streamed(model, context).eval(),
            example,
            str(paths["fp32"]),
            input_names=names,
            output_names=["scores", *(f"new_{name}" for name in names[1:])],
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    # Matrix products only: quantised convolutions are slower than float ones there.
    quantize_dynamic(paths["fp32"], paths["int8"], op_types_to_quantize=["MatMul", "Gemm"], weight_type=QuantType.QInt8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    for precision, path in paths.items():
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        inputs = {name: tensor.numpy() for name, tensor in zip(names, example, strict=True)}

        def run(features: np.ndarray, session=session, inputs=inputs) -> None:
            inputs["features"] = features[None]
            _, *new = session.run(None, inputs)
            inputs.update(zip(names[1:], new, strict=True))

        row = Row(f"onnxruntime-{precision}", precision, 0.0, "", context.chunk_ms, 0.0, path.stat().st_size)
        yield _Entrant(row, run)


def _own_entrants(
    model: Recogniser, sparsity: float, block: Sequence[int], contexts: Sequence[Context]
) -> Iterator[_Entrant]:
    for context in contexts:
        for precision in ("int8", "fp32"):
            file = pack_model(model, "word", Subnet(sparsity, context), precision)
            name = f"{block[0]}x{block[1]}" if sparsity else ""
            row = Row(f"dualmode-{precision}", precision, sparsity, name, context.chunk_ms, 0.0, len(file))
            yield _Entrant(row, Device.open(file).encode)


def measure(
    sparsities: Sequence[float] = (0.7, 0.8),
    blocks: Sequence[Sequence[int]] = BLOCKS,
    chunk_ms: Sequence[int] = (160, 320, 640),
    left_ms: int = 1280,
    rounds: int = 60,
    encoder: dict = ENCODER,
) -> list[dict]:
    """Return one row (see :class:`Row`) for every engine, sub-network and chunk.

    Args:
        sparsities, blocks: of the sparse sub-networks; the dense one is always there.
        chunk_ms, left_ms: contexts.
        rounds: turns of each engine.
        encoder: encoder_conf of the model.

    Raises:
        UserError: the engine was not compiled.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    contexts = [Context.from_ms(chunk, left_ms) for chunk in chunk_ms]
    try:
        with tempfile.TemporaryDirectory() as folder:
            entrants = []
            dense = _model(0.0, blocks[0], encoder)
            for context in contexts:
                entrants.append(_torch_entrant(dense, context))
                if importlib.util.find_spec("onnxruntime"):
                    entrants.extend(_onnx_entrants(dense, context, Path(folder)))
            entrants.extend(_own_entrants(dense, 0.0, blocks[0], contexts))
            for sparsity in sparsities:
                for block in blocks:
                    entrants.extend(_own_entrants(_model(sparsity, block, encoder), sparsity, block, contexts))
            return _race(entrants, rounds)
    finally:
        torch.set_num_threads(threads)


def _race(entrants: Sequence[_Entrant], rounds: int) -> list[dict]:
    generator = np.random.default_rng(0)
    times = np.empty((rounds, len(entrants)))
    for turn in progress(range(rounds), "measuring the device engines"):
        for column, entrant in enumerate(entrants):
            frames = FACTOR * entrant.row.chunk_ms // 40 + EXTRA
            features = generator.standard_normal((frames, 80), dtype=np.float32)
            start = time.perf_counter()
            entrant.run(features)
            times[turn, column] = time.perf_counter() - start
    medians = 1000 * np.median(times, axis=0)
    return [asdict(entrant.row) | {"ms": float(ms)} for entrant, ms in zip(entrants, medians, strict=True)]
