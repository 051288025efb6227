"""A folder that sherpa-onnx runs: ONNX files, tokens.txt, export.json, which says what they are, and a card.

CTC      model.onnx, model.int8.onnx
RNN-T    encoder.onnx, encoder.int8.onnx, decoder.onnx (the predictor), joiner.onnx, joiner.int8.onnx

A sub-network with a chunk is for sherpa-onnx's streaming recogniser, one in the full context for its offline one.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from dualmode.asr.model import AsrModel
from dualmode.asr.transducer.predictor import StatelessPredictor
from dualmode.data.fbank import BINS
from dualmode.data.folder import Contents, atomic_folder
from dualmode.errors import UserError
from dualmode.export.card import export_card
from dualmode.export.graphs import JoinerGraph, PredictorGraph, StreamingGraph
from dualmode.export.interface import EBranchformer, Interface, ZipformerCtc
from dualmode.export.offline import OfflineGraph
from dualmode.export.onnx_file import check_installed, quantise, write_onnx
from dualmode.export.tokens import symbols
from dualmode.models.loaded import LoadedModel
from dualmode_runtime.files import atomic_write, write_json

FORMAT = "sherpa-onnx"
ABOUT = "export.json"
CONTENTS = Contents(ABOUT, (ABOUT, "tokens.txt", "*.onnx", "README.md"))


@dataclass(frozen=True)
class Graph:
    """One ONNX file to write.

    Attributes:
        name: of the file, without .onnx.
        module, inputs, axes, names, metadata: see :func:`dualmode.export.onnx_file.write_onnx`.
        quantised: whether there is an int8 file of it too.
    """

    name: str
    module: torch.nn.Module
    inputs: list[torch.Tensor]
    axes: list[tuple[int, ...]]
    names: tuple[list[str], list[str]]
    metadata: dict[str, str]
    quantised: bool = True


def interface_of(loaded: LoadedModel) -> Interface:
    """Return how the recogniser's caches are laid out for sherpa-onnx.

    Raises:
        UserError: sherpa-onnx cannot run such a recogniser.
    """
    model, context, config = loaded.model, loaded.context, loaded.model.encoder.config
    if context.chunk is None:
        raise UserError(f"sherpa-onnx's streaming recogniser needs a chunk, not the {context}")
    if context.left == 0 or config.kernel_size == 1:
        raise UserError(
            "sherpa-onnx's caches cannot be empty: export a left context of at least 40 ms and a kernel_size of at "
            "least 3"
        )
    return ZipformerCtc(config, context) if model.kind == "ctc" else EBranchformer(config, context)


def check_recogniser(model: AsrModel) -> None:
    """Raise UserError if sherpa-onnx cannot run such a recogniser, streaming or offline."""
    bins = model.encoder.config.input_size
    if bins != BINS:
        raise UserError(f"sherpa-onnx computes features of {BINS} bins, and this model takes {bins}")
    if model.kind != "ctc" and not isinstance(model.predictor, StatelessPredictor):
        raise UserError(
            "sherpa-onnx's Kaldi-feature transducers know no LSTM predictor: train with predictor: stateless, or with "
            "kind: ctc"
        )


def encoder_graph(loaded: LoadedModel) -> Graph:
    """Return the graph of the encoder and the head on it, for a chunk of each stream or for whole utterances.

    Raises:
        UserError: sherpa-onnx cannot run it.
    """
    model, ctc = loaded.model, loaded.model.kind == "ctc"
    check_recogniser(model)
    name, output = ("model", "log_probs") if ctc else ("encoder", "encoder_out")
    about = {"comment": f"dualmode: {loaded.subnet}"}
    if loaded.context.chunk is None:
        utterances = [torch.zeros(2, 160, BINS), torch.tensor([160, 80])]
        names = (["x", "x_lens"], [output, f"{output}_lens"])
        graph, axes = OfflineGraph(model, loaded.run_as), [(0, 1), (0,)]
        return Graph(name, graph, utterances, axes, names, about)
    interface = interface_of(loaded)
    states, features = interface.names(), torch.zeros(2, interface.window, BINS)
    return Graph(
        name,
        StreamingGraph(model, interface),
        [features, *interface.zeros(2)],
        [(0,), *((axis,) for axis in interface.batch_axes())],
        (["x", *states], [output, *(f"new_{state}" for state in states)]),
        interface.metadata() | about,
    )


def graphs(loaded: LoadedModel) -> list[Graph]:
    """Return the graphs of a recogniser.

    Raises:
        UserError: as :func:`encoder_graph`.
    """
    model, encoder = loaded.model, encoder_graph(loaded)
    if model.kind == "ctc":
        return [encoder]
    context, joint = model.config.transducer.context, torch.zeros(2, model.config.transducer.joiner_size)
    about = {"vocab_size": str(len(model.tokens)), "context_size": str(context)}
    history = torch.zeros(2, context, dtype=torch.long)
    joined = (["encoder_out", "decoder_out"], ["logit"])
    return [
        encoder,
        Graph("decoder", PredictorGraph(model), [history], [(0,)], (["y"], ["decoder_out"]), about, quantised=False),
        Graph("joiner", JoinerGraph(model), [joint, joint], [(0,), (0,)], joined, {}),
    ]


def export(loaded: LoadedModel, out: Path, int8: bool = False) -> dict:
    """Write the folder ``out``; it replaces one that was exported before.

    Args:
        loaded: as the sub-network that is wanted.
        out: folder.
        int8: write int8 files too.

    Returns:
        what export.json says: the sub-network, and for each precision the files and their bytes.

    Raises:
        UserError: sherpa-onnx cannot run such a recogniser, ``out`` is something else, or a package is missing.
    """
    CONTENTS.check_replaceable(out)
    parts, names = graphs(loaded), symbols(loaded.tokenizer.kind, loaded.tokenizer.tokens)
    check_installed()
    cut = {}
    if loaded.context.chunk is not None:
        interface = interface_of(loaded)
        cut = {"window": interface.window, "shift": interface.shift}
    with atomic_folder(out, CONTENTS) as tmp:
        files: dict[str, list[str]] = {"fp32": [], "int8": []}
        for part in parts:
            path = tmp / f"{part.name}.onnx"
            write_onnx(part.module, part.inputs, part.axes, part.names, part.metadata, path)
            files["fp32"].append(path.name)
            if int8 and part.quantised:
                quantise(path, path.with_suffix(".int8.onnx"))
            files["int8"].append(path.with_suffix(".int8.onnx").name if part.quantised else path.name)
        with atomic_write(tmp / "tokens.txt") as lines:
            lines.writelines(f"{symbol} {number}\n" for number, symbol in enumerate(names))
        context = loaded.context
        about = {
            "format": FORMAT,
            "kind": loaded.model.kind,
            "sparsity": loaded.subnet.sparsity,
            "chunk_ms": context.chunk_ms,
            "left_ms": context.left_ms,
            "lookahead_ms": context.lookahead_ms,
            **cut,
            "params_total": loaded.parameters_total,
            "params_kept": loaded.parameters_kept,
            "checkpoint": loaded.checkpoint.name,
            "tokens": len(names),
            "files": {
                precision: {name: (tmp / name).stat().st_size for name in files[precision]}
                for precision in ("fp32", "int8")[: 1 + int8]
            },
        }
        write_json(tmp / ABOUT, about)
        with atomic_write(tmp / "README.md") as lines:
            lines.writelines(f"{line}\n" for line in export_card(out.name, loaded, about))
    return about
