"""Modules as ONNX files: batch of any size, metadata, and matrix products in int8."""

import contextlib
import importlib.util
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from dualmode.extras import missing


def check_installed() -> None:
    """Raise UserError unless the packages that write ONNX files are there."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(name) is None:
            raise missing(name, "the export")


@torch.inference_mode()
def write_onnx(
    module: nn.Module,
    inputs: Sequence[Tensor],
    axes: Sequence[Sequence[int]],
    names: tuple[Sequence[str], Sequence[str]],
    metadata: Mapping[str, str],
    path: Path,
) -> None:
    """Write ``module`` as an ONNX file.

    Args:
        module: of tensors in and out, by position.
        inputs: examples, with a batch of 2.
        axes: of each input, those that have any size in the file: the batch, perhaps the time.
        names: of inputs and outputs.
        metadata: pairs that the file carries.
        path: to write.
    """
    import onnx

    free = [dict.fromkeys(of_input, torch.export.Dim.DYNAMIC) for of_input in axes]
    # The exporter takes one tensor given twice for one input.
    examples = tuple(x.clone() for x in inputs)
    with _silent():
        torch.onnx.export(
            module.eval(),
            examples,
            str(path),
            input_names=names[0],
            output_names=names[1],
            # A forward with *states takes them as one tuple.
            dynamic_shapes=(free[0], tuple(free[1:])) if len(free) > 2 else tuple(free),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    proto = onnx.load(path)
    for key, value in metadata.items():
        proto.metadata_props.add(key=key, value=value)
    # Shapes that can be inferred; those of Gemm weights are wrong once ONNX Runtime's quantiser has transposed them.
    del proto.graph.value_info[:]
    # What the exporter notes for its own debugging: lines and paths of the sources, and torch's names of everything.
    for part in (proto.graph, *proto.functions):
        for noted in (part, *part.node):
            del noted.metadata_props[:]
            noted.ClearField("doc_string")
    onnx.checker.check_model(proto)
    onnx.save(proto, path)


def quantise(path: Path, out: Path) -> None:
    """Write ``path`` with matrix products in int8: a scale for each output, activations scaled as they come.

    Matrix products only: quantised convolutions are slower than float ones in ONNX Runtime.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _silent():
        quantize_dynamic(
            path, out, op_types_to_quantize=["MatMul", "Gemm"], weight_type=QuantType.QInt8, per_channel=True
        )


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep what exporters say to their own developers from the user."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
