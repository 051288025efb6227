"""How long a chunk takes and how large the file is: our engine, PyTorch and, where it is installed, ONNX Runtime.

One encoder of about 31 million random weights (no two matrices are alike: runtimes share equal ones), one thread.  All
engines take turns, one chunk a turn, so that a slow moment of the machine hits all of them; what they read comes from
main memory, as in a device that does something else between two chunks.  A figure is the median over the turns.
"""

import argparse
import importlib.util
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dualmode.asr.build import build_asr_model
from dualmode.asr.model import AsrModel
from dualmode.bench.timing import timed
from dualmode.cli import at_least
from dualmode.device.pack import pack_model
from dualmode.encoder.conformer import give_weights
from dualmode.encoder.slicing import without_pruned_units
from dualmode.encoder.state import StreamState
from dualmode.frames import EXTRA, FACTOR, FRAME_MS
from dualmode.progress import progress
from dualmode.supernet.pruning import estimate_masks
from dualmode.supernet.storage import materialise
from dualmode.supernet.subnet import Context, Subnet
from dualmode_runtime.engine import Device

ENCODER = {
    "output_size": 256,
    "num_blocks": 12,
    "attention_heads": 4,
    "linear_units": 2048,
    "kernel_size": 15,
    "subsampling_channels": 64,
}
VOCABULARY = 100
PRUNED: dict[str, dict] = {"16x4": {"block": [16, 4]}, "8x4": {"block": [8, 4]}, "4x4": {"block": [4, 4]}}
PRUNED["units"] = {"granularity": "units"}  # a smaller dense model
THREADS = 1  # of every engine, whatever --threads says
COLUMNS = ("engine", "sparsity", "block", "chunk_ms", "ms", "linear_ms", "bytes")


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        engine: dualmode-int8, dualmode-fp32, torch-fp32, onnxruntime-int8 or onnxruntime-fp32.
        precision: of the weights.
        sparsity: share of pruned weights; 0 is dense.
        block: outputs x inputs that are pruned together, or units; empty for a dense sub-network.
        chunk_ms: audio that a chunk covers.
        ms: median time of a chunk: normalisation, subsampling, blocks and CTC head, without the fbank.
        bytes: of the file, or of the parameters where there is none.
        linear_ms: median time of the blocks' Linear layers alone, for our engine.
    """

    engine: str
    precision: str
    sparsity: float
    block: str
    chunk_ms: int
    ms: float
    bytes: int
    linear_ms: float | None = None


@dataclass(frozen=True)
class _Entrant:
    row: Row
    run: Callable[[np.ndarray], object]
    linear: Callable[[], object] | None = None


def _model(sparsity: float, pruned: dict, encoder: dict) -> AsrModel:
    """Return a recogniser of random weights, pruned for good; the seed is always the same."""
    torch.manual_seed(0)
    conf = encoder | {"sparsities": [sparsity or 0.5], **pruned}
    tokens = ["<blank>", "<unk>", *(f"token{number}" for number in range(VOCABULARY - 2))]
    model = build_asr_model({"encoder_conf": conf}, tokens).eval()
    give_weights(model.encoder)
    if sparsity:
        estimate_masks(model, model.encoder.config.pruning)
        model.encoder, view = without_pruned_units(model.encoder, model.encoder.config.view(sparsity))
        materialise(model, view)
    return model


class _Streamed(nn.Module):
    """One chunk of a stream with its state as plain tensors, as an ONNX graph wants it."""

    def __init__(self, model: AsrModel, context: Context):
        super().__init__()
        self.model, self.subnet = model, Subnet(context=context)

    def forward(self, features: Tensor, keys: Tensor, values: Tensor, convolution: Tensor, seen: Tensor):
        lengths = torch.tensor([features.shape[1]])
        state = StreamState(keys, values, convolution, seen)
        encoded, _, state = self.model.encoder.forward_chunk(features, lengths, state, self.subnet)
        return self.model.head(encoded), state.keys, state.values, state.convolution, state.seen


def _torch_entrant(model: AsrModel, context: Context) -> _Entrant:
    streamed, state = _Streamed(model, context), [model.encoder.init_state(1, context)]

    @torch.inference_mode()
    def run(features: np.ndarray) -> None:
        old = state[0]
        _, *new = streamed(torch.from_numpy(features)[None], old.keys, old.values, old.convolution, old.seen)
        state[0] = StreamState(*new)

    size = sum(4 * parameter.numel() for parameter in model.parameters())
    return _Entrant(Row("torch-fp32", "fp32", 0.0, "", context.chunk_ms, 0.0, size), run)


def _onnx_entrants(model: AsrModel, context: Context, folder: Path) -> Iterator[_Entrant]:
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


def _own_entrants(model: AsrModel, sparsity: float, block: str, contexts: Sequence[Context]) -> Iterator[_Entrant]:
    for context in contexts:
        for precision in ("int8", "fp32"):
            file = pack_model(model, "word", Subnet(sparsity, context), precision)
            row = Row(f"dualmode-{precision}", precision, sparsity, block, context.chunk_ms, 0.0, len(file))
            device = Device.open(file)
            yield _Entrant(row, device.encode, device.run_products)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sparsities", nargs="+", type=float, default=[0.7, 0.8], metavar="SHARE", help="shares of pruned weights"
    )
    parser.add_argument(
        "--blocks",
        nargs="+",
        choices=PRUNED,
        default=list(PRUNED),
        metavar="KIND",
        help=f"outputs x inputs, or units: of {', '.join(PRUNED)}",
    )
    parser.add_argument("--chunk-ms", nargs="+", type=int, default=[160, 320, 640], metavar="MS", help="chunks, in ms")
    parser.add_argument("--left-ms", type=int, default=1280, metavar="MS", help="left context, in ms")
    parser.add_argument(
        "--rounds", type=at_least(1), default=60, metavar="N", help="turns of each engine; the median counts"
    )


def measure(args: argparse.Namespace, encoder: dict = ENCODER) -> list[dict]:
    """Return one row (see :class:`Row`) for every engine, sub-network and chunk.

    Args:
        args: options of :func:`add_options`.
        encoder: encoder_conf of the model.

    Raises:
        UserError: the engine was not compiled, or a time is no multiple of 40 ms.
    """
    contexts = [Context.from_ms(chunk, args.left_ms) for chunk in args.chunk_ms]
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _race(list(_entrants(args, encoder, contexts, Path(folder))), args.rounds)
    finally:
        torch.set_num_threads(threads)


def _entrants(args, encoder: dict, contexts: Sequence[Context], folder: Path) -> Iterator[_Entrant]:
    dense = _model(0.0, PRUNED["16x4"], encoder)
    for context in contexts:
        yield _torch_entrant(dense, context)
        if importlib.util.find_spec("onnxruntime"):
            yield from _onnx_entrants(dense, context, folder)
    yield from _own_entrants(dense, 0.0, "", contexts)
    for sparsity in args.sparsities:
        for block in args.blocks:
            yield from _own_entrants(_model(sparsity, PRUNED[block], encoder), sparsity, block, contexts)


def _race(entrants: Sequence[_Entrant], rounds: int) -> list[dict]:
    """Let all entrants take turns; the first turn warms them up."""
    generator = np.random.default_rng(0)
    whole, linear = np.full((2, rounds + 1, len(entrants)), np.nan)
    for turn in progress(range(rounds + 1), "measuring the device engines"):
        for column, entrant in enumerate(entrants):
            frames = FACTOR * entrant.row.chunk_ms // FRAME_MS + EXTRA
            features = generator.standard_normal((frames, 80), dtype=np.float32)
            whole[turn, column] = timed(partial(entrant.run, features))
        for column, entrant in enumerate(entrants):
            if entrant.linear:
                linear[turn, column] = timed(entrant.linear)
    return [
        asdict(entrant.row)
        | {"ms": 1000 * float(np.median(whole[1:, column]))}
        | ({"linear_ms": 1000 * float(np.median(linear[1:, column]))} if entrant.linear else {})
        for column, entrant in enumerate(entrants)
    ]
