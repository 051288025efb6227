"""A recogniser as a device file: one streaming sub-network, everything else left behind."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from dualmode.asr.model import AsrModel
from dualmode.asr.transducer.predictor import StatelessPredictor
from dualmode.device.container import (
    COLUMNS,
    PRECISIONS,
    TOKEN_TYPES,
    DeviceConfig,
    Section,
    file_bytes,
    has_control,
    impossible,
    matrix,
    text,
    vector,
)
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.errors import UserError
from dualmode.models.loaded import LoadedModel
from dualmode.supernet.masked_linear import prunable
from dualmode.supernet.subnet import Subnet

DENSE_ROWS = 16
_SETTINGS = {  # what sets a number of the file, where that has another name
    "bins": "input_size",
    "size": "output_size",
    "heads": "attention_heads",
    "units": "linear_units",
    "kernel": "kernel_size",
    "channels": "subsampling_channels",
    "blocks": "num_blocks",
    "vocabulary": "token list",
    "chunk": "--chunk-ms (a frame is 40 ms)",
    "left": "--left-ms (a frame is 40 ms)",
    "right": "--lookahead-ms (a frame is 40 ms)",
    "stream": "--left-ms or --chunk-ms",
}


def block_rows(encoder: DualModeEncoder, subnet: Subnet) -> int:
    """Return the rows of the largest block that the engine knows and that tiles the blocks of the encoder's masks.

    16, and all blocks kept, where nothing is pruned, or whole units that are not there any more.

    Raises:
        UserError: the engine has no blocks for such masks.
    """
    config = encoder.config
    layers = [layer for _, layer in prunable(encoder)]
    full = all(layer.masks.all() for layer in layers)
    # A sub-network by itself (dualmode subnet) has no masks either, and zeros where it was pruned; what is left of
    # whole units (slice_encoder) has none.
    zeros = sum(float((layer.weight == 0).sum()) for layer in layers) / sum(layer.weight.numel() for layer in layers)
    if subnet.sparsity == 0 or (full and zeros < subnet.sparsity / 2):
        return DENSE_ROWS
    if not config.pruning.granularity.runs_on_device_engine:
        raise UserError(
            f"masks of granularity {config.granularity} cannot run on the device engine: it needs blocks or units"
        )
    for rows in (16, 8, 4):
        if config.block[0] % rows == 0 and config.block[1] % COLUMNS == 0:
            return rows
    raise UserError(
        f"masks of {config.block[0]}x{config.block[1]} blocks cannot run on the device engine: it needs blocks of "
        "16x4, 8x4 or 4x4 weights (outputs x inputs), or multiples of them"
    )


def _transducer_sizes(model: AsrModel) -> dict[str, int]:
    """Return the fields of DeviceConfig that describe the RNN-T; none for CTC."""
    if model.kind != "rnnt":
        return {}
    if not isinstance(model.predictor, StatelessPredictor):
        raise UserError("the device engine knows RNN-Ts with a stateless predictor only: this one's is an LSTM")
    size, width = model.joiner.predictor.in_features, model.joiner.predictor.out_features
    return {"context": model.predictor.context, "predictor_size": size, "joiner_size": width}


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().float().numpy()


class _Writer:
    """Turns layers into sections, in the order in which they are asked for."""

    def __init__(self, tensors: dict[str, Tensor], rows: int, int8: bool):
        self.tensors, self.rows, self.int8 = tensors, rows, int8

    def get(self, name: str) -> np.ndarray:
        return _array(self.tensors[name])

    def dense(self, layer: str, weight: np.ndarray | None = None, rows: int = DENSE_ROWS) -> Iterator[Section]:
        name = f"{layer}.weight"
        yield matrix(name, self.get(name) if weight is None else weight, rows, self.int8)
        yield self.plain(f"{layer}.bias")

    def pruned(self, layer: str) -> Iterator[Section]:
        yield from self.dense(layer, rows=self.rows)

    def plain(self, name: str, values: np.ndarray | None = None) -> Section:
        return vector(name, self.get(name) if values is None else values, self.int8)

    def norm(self, name: str) -> Iterator[Section]:
        for part in ("weight", "bias"):
            yield self.plain(f"{name}.{part}", self.get(f"{name}.{part}")[0])


def _sections(writer: _Writer, model: AsrModel) -> Iterator[Section]:
    """Yield all sections in the order of FORMAT.md."""
    config = model.encoder.config
    for name in ("normalize.mean", "normalize.std"):
        yield vector(name, writer.get(name), half=False)
    channels = config.subsampling_channels
    first = "subsampling.conv.0"
    yield writer.plain(f"{first}.weight", writer.get(f"{first}.weight").reshape(channels, 9).T)
    yield writer.plain(f"{first}.bias")
    second = writer.get("subsampling.conv.2.weight").transpose(0, 2, 3, 1)
    yield from writer.dense("subsampling.conv.2", second.reshape(channels, 9 * channels))
    project = writer.get("subsampling.project.weight").reshape(config.output_size, channels, -1)
    yield from writer.dense("subsampling.project", project.transpose(0, 2, 1).reshape(config.output_size, -1))
    for index in range(config.num_blocks):
        block = f"blocks.{index}"
        for name in ("ffn1.up", "ffn1.down", "attention.qkv", "attention.out", "convolution.expand"):
            yield from writer.pruned(f"{block}.{name}")
        depthwise = f"{block}.convolution.depthwise"
        yield writer.plain(f"{depthwise}.weight", writer.get(f"{depthwise}.weight")[:, 0].T)
        yield writer.plain(f"{depthwise}.bias")
        yield from writer.norm(f"{block}.convolution.norm")
        for name in ("convolution.project", "ffn2.up", "ffn2.down"):
            yield from writer.pruned(f"{block}.{name}")
        for norm in range(5):
            yield from writer.norm(f"{block}.norms.{norm}")
    if model.kind == "rnnt":
        yield writer.plain("predictor.embedding.weight")
        for layer in ("predictor.mix", "joiner.encoder", "joiner.predictor", "joiner.output"):
            yield from writer.dense(layer)
    else:
        yield from writer.dense("head")
    yield text("tokens", model.tokens)


def _check_runs(config: DeviceConfig, std: np.ndarray) -> None:
    """Raise UserError for what the engine refuses to open."""
    if fault := impossible(config):
        name, why = fault
        raise UserError(f"the device engine cannot run this: its {why}; choose another {_SETTINGS.get(name, name)}")
    if not (std > 0).all():
        raise UserError(
            f"the device engine cannot run this: the standard deviation of its feature bin {np.argmin(std > 0)} is not "
            "above 0; compute mean and variance anew, of recordings that are not silent"
        )


def pack_model(model: AsrModel, token_type: str, subnet: Subnet, precision: str) -> bytes:
    """Return the device file of a model whose masks are multiplied in (:func:`dualmode.supernet.storage.materialise`).

    Args:
        model: its dense sub-network is what is stored; blocks of it that are all zero are not.
        token_type: "char", "word" or "bpe".
        subnet: the context that the device runs it with, and the sparsity that it was pruned to.
        precision: "int8" (each output of a matrix has a scale; vectors are stored in half precision) or "fp32".

    Raises:
        UserError: the engine cannot run such a sub-network.
    """
    if subnet.context.chunk is None:
        raise UserError(f"the device engine streams: it needs a chunk (--chunk-ms), not: {subnet.context}")
    if precision not in PRECISIONS:
        raise UserError(f"unknown precision {precision!r}: expected one of {', '.join(PRECISIONS)}")
    for token in model.tokens:
        if has_control(token):
            raise UserError(f"the token {token!r} has a control character in it, which a device file cannot hold")
    encoder = model.encoder.config
    rows = block_rows(model.encoder, subnet)
    config = DeviceConfig(
        precision=PRECISIONS.index(precision),
        bins=encoder.input_size,
        size=encoder.output_size,
        heads=encoder.attention_heads,
        units=encoder.linear_units,
        kernel=encoder.kernel_size,
        channels=encoder.subsampling_channels,
        blocks=encoder.num_blocks,
        vocabulary=len(model.tokens),
        chunk=subnet.context.chunk,
        left=subnet.context.left,
        right=subnet.context.lookahead,
        token_type=TOKEN_TYPES.index(token_type),
        block_rows=rows,
        sparsity=subnet.sparsity,
        head_size=encoder.head_size,
        convolution_channels=encoder.convolution_channels,
        **_transducer_sizes(model),
    )
    tensors = {name.removeprefix("encoder."): value for name, value in model.state_dict().items()}
    if model.kind == "rnnt":  # every matrix has a bias there
        tensors["joiner.predictor.bias"] = torch.zeros(config.joiner_size)
    writer = _Writer(tensors, rows, precision == "int8")
    _check_runs(config, writer.get("normalize.std"))
    return file_bytes(config, list(_sections(writer, model)))


def pack(loaded: LoadedModel, precision: str) -> bytes:
    """Return the device file of a model folder, loaded as the streaming sub-network that is wanted."""
    return pack_model(loaded.model, loaded.tokenizer.kind, loaded.subnet, precision)
