"""Device files without the compiled engine: the same file, run by PyTorch in float arithmetic, slower."""

import copy
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dualmode.asr.build import build_asr_model
from dualmode.asr.model import AsrModel
from dualmode.data.fbank import BINS, OnlineFbank
from dualmode.data.tokens import Tokenizer
from dualmode.device.container import TOKEN_TYPES, DeviceConfig, bins_left, read
from dualmode.errors import UserError
from dualmode.frames import FRAME_MS
from dualmode.search.searcher import greedy_searcher
from dualmode.search.stream import StreamDecoder
from dualmode.search.words import word_spans
from dualmode.supernet.subnet import Context, Subnet
from dualmode_runtime.engine import Device, DeviceWord, EngineMissing, as_floats


def unpack_model(data: bytes, source: str) -> tuple[AsrModel, DeviceConfig]:
    """Return the recogniser in a device file, dense, its matrices rounded as they were stored.

    Raises:
        UserError: the file is damaged.
    """
    config, stored = read(data, source)
    _check_sizes(config, stored, source)
    encoder = {
        "input_size": config.bins,
        "output_size": config.size,
        "num_blocks": config.blocks,
        "attention_heads": config.heads,
        "linear_units": config.units,
        "kernel_size": config.kernel,
        "subsampling_channels": config.channels,
        "block": [1, 1],
        "head_size": config.head_size,
        "convolution_channels": config.convolution_channels,
    }
    heads = {}
    if config.context:
        sizes = {key: getattr(config, key) for key in ("context", "predictor_size", "joiner_size")}
        heads = {"kind": "rnnt", "transducer": {**sizes, "ctc_weight": 0.0}}
    try:
        model = build_asr_model({"encoder_conf": encoder, "model_conf": heads}, stored["tokens"]).eval()
        state = model.state_dict()
        for name, target in state.items():
            own = name.removeprefix("encoder.")
            if isinstance(target, Tensor) and not name.endswith(("masks", "_extra_state")):
                # Norms have a row for each sub-network; the first one is run.
                row = target[0] if target.ndim == 2 and stored[own].shape[0] == 1 != target.shape[0] else target
                row.copy_(_as_trained(own, stored[own], config).reshape(row.shape))
        model.load_state_dict(state)
    except (KeyError, RuntimeError, ValueError, TypeError, IndexError, AttributeError, ArithmeticError) as error:
        raise UserError(f"{source} is damaged: {error}") from error
    return model, config


def _sizes(config: DeviceConfig) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield name and size of all that the header promises, but norms and biases: FORMAT.md's table."""
    size, channels, units, inner = config.size, config.channels, config.units, config.convolution_channels
    attended = config.heads * config.head_size
    yield "normalize.mean", (1, config.bins)
    yield "normalize.std", (1, config.bins)
    yield "subsampling.conv.0.weight", (9, channels)
    yield "subsampling.conv.2.weight", (channels, 9 * channels)
    yield "subsampling.project.weight", (size, bins_left(config) * channels)
    for index in range(config.blocks):
        block = f"blocks.{index}"
        for name in ("ffn1", "ffn2"):
            yield f"{block}.{name}.up.weight", (units, size)
            yield f"{block}.{name}.down.weight", (size, units)
        yield f"{block}.attention.qkv.weight", (3 * attended, size)
        yield f"{block}.attention.out.weight", (size, attended)
        yield f"{block}.convolution.expand.weight", (2 * inner, size)
        yield f"{block}.convolution.depthwise.weight", (config.kernel, inner)
        yield f"{block}.convolution.project.weight", (size, inner)
    if config.context:
        yield "predictor.embedding.weight", (config.vocabulary, config.predictor_size)
        yield "predictor.mix.weight", (config.predictor_size, config.context * config.predictor_size)
        yield "joiner.encoder.weight", (config.joiner_size, size)
        yield "joiner.predictor.weight", (config.joiner_size, config.predictor_size)
        yield "joiner.output.weight", (config.vocabulary, config.joiner_size)
    else:
        yield "head.weight", (config.vocabulary, size)


def _check_sizes(config: DeviceConfig, stored: Mapping, source: str) -> None:
    """Raise UserError unless what the header promises is stored, all of it, before memory is taken for it."""
    for name, size in _sizes(config):
        if name not in stored or np.shape(stored[name]) != size:
            raise UserError(f"{source} is damaged: its header does not fit the section {name}")
    if not (stored["normalize.std"] > 0).all():
        raise UserError(f"{source} is damaged: the section normalize.std has a value that is not above 0")
    if len(stored.get("tokens", ())) != config.vocabulary:
        raise UserError(f"{source} is damaged: its tokens are impossible")


def _as_trained(name: str, values: np.ndarray, config: DeviceConfig) -> Tensor:
    """Undo the reordering of the few tensors that the device reads in another order."""
    tensor = torch.from_numpy(values.copy())
    if name == "subsampling.conv.0.weight" or name.endswith("depthwise.weight"):
        return tensor.T
    if name == "subsampling.conv.2.weight":
        return tensor.reshape(config.channels, 3, 3, config.channels).permute(0, 3, 1, 2)
    if name == "subsampling.project.weight":
        return tensor.reshape(config.size, -1, config.channels).transpose(1, 2)
    return tensor


class TorchDevice:
    """What :class:`dualmode_runtime.engine.Device` is for whole recordings at 16 kHz, run by PyTorch.

    It has no endpoints, and words do not say since when they are stable.

    Attributes:
        info: the file's header.
    """

    def __init__(self, data: bytes, source: str):
        self._model, self._config = unpack_model(data, source)
        self.info = self._config
        kind = TOKEN_TYPES[self._config.token_type]
        self._tokenizer = Tokenizer(kind, self._model.tokens, bpe_model=source)  # decodes without its model
        self.reset()

    def stream(self) -> "TorchDevice":
        """Return another stream of the same model."""
        other = copy.copy(self)
        other.reset()
        return other

    def reset(self) -> None:
        """Begin a new utterance."""
        context = Context(self._config.chunk, self._config.left, self._config.right)
        self._decoder = StreamDecoder(self._model, Subnet(context=context), greedy_searcher(self._model))
        self._fbank = OnlineFbank()
        self.tokens: list[int] = []
        self._frames: list[int] = []

    def accept_samples(self, samples: np.ndarray) -> None:
        """Take more samples (n,) at 16 kHz: floats in [-1, 1], or integers of the full range of their type."""
        if self._config.bins != BINS:
            raise UserError(f"this model takes features of {self._config.bins} bins, which are not computed here")
        self._fbank.accept_waveform(as_floats(samples).astype(np.float32, copy=False))
        self.accept_features(self._fbank.take())

    def accept_features(self, features: np.ndarray) -> None:
        """Take more features (frames of 10 ms, bins)."""
        self._decode(features)

    def finish(self) -> None:
        """Decode what is left at the utterance's end."""
        self._fbank.input_finished()
        rest = self._fbank.take()
        self._decode(rest if len(rest) else None, final=True)

    def _decode(self, features: np.ndarray | None, final: bool = False) -> None:
        self._decoder.accept([features], [final])
        tokens, frames = self._decoder.searches[0].take()
        self.tokens += tokens
        self._frames += frames

    @property
    def text(self) -> str:
        """Text so far."""
        return self._tokenizer.decode(self.tokens)

    @property
    def words(self) -> list[DeviceWord]:
        """Words so far; the last one may still change."""
        spans = word_spans([self._tokenizer.tokens[token] for token in self.tokens], self._tokenizer.kind)
        return [
            DeviceWord(
                self._tokenizer.decode(self.tokens[first:end]),
                float(FRAME_MS * self._frames[first]),
                float(FRAME_MS * (self._frames[end - 1] + 1)),
            )
            for first, end in spans
        ]


def open_device(path: str | os.PathLike) -> Device | TorchDevice:
    """Open a device file in the compiled engine, or, where that is missing and after saying so, in PyTorch.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        return Device.open(path)
    except EngineMissing as missing:
        return open_in_torch(path, missing)


def open_in_torch(path: str | os.PathLike, missing: EngineMissing) -> TorchDevice:
    """Say that the engine is missing, and open a device file in PyTorch."""
    print(f"{missing}; PyTorch runs the model instead, slower and in float arithmetic", file=sys.stderr)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    return TorchDevice(data, str(path))
