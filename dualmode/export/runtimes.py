"""Device runtimes from Python, all with one function: audio in, text out.  Without torch, which no device has."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dualmode.data.fbank import SAMPLE_RATE
from dualmode.decoding.pauses import Piece
from dualmode.decoding.transcript import Alternative, Result, Transcript
from dualmode.errors import UserError
from dualmode.frames import EXTRA, FACTOR
from dualmode.lines import words
from dualmode.search.words import Word
from dualmode.supernet.subnet import Context, Subnet

PIECE = SAMPLE_RATE // 10  # samples that a device hears at a time
HOP = SAMPLE_RATE // 100  # samples of a feature frame of 10 ms


def padded(samples: np.ndarray, window: int, shift: int) -> np.ndarray:
    """Append zeros until sherpa-onnx runs the chunk in which the audio ends; it drops a chunk that is not full.

    With a window of 4 * 16 + 3 = 67 and a shift of 64 feature frames, a chunk is run once there are 68::

        audio   |--------- 64 ---------|---- 40 ----|
        padded  |--------- 64 ---------|---- 40 ----0000 28|     132 = 64 + 68

    Args:
        samples: (samples,) at 16 kHz.
        window, shift: feature frames that a chunk takes, and from one chunk to the next.
    """
    frames = (len(samples) + HOP // 2) // HOP
    encoded = max((frames - FACTOR - EXTRA) // FACTOR + 1, 1)
    chunks = -(-encoded * FACTOR // shift)
    missing = HOP * ((chunks - 1) * shift + window + 1) - len(samples)
    return np.concatenate([samples, np.zeros(max(missing, 0), np.float32)])


def read_about(folder: Path) -> dict:
    """Return export.json of an exported folder.

    Raises:
        UserError: it is missing or something else.
    """
    path = folder / "export.json"
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        if about["format"] != "sherpa-onnx":
            raise ValueError(f"unknown format {about['format']!r}")
        return about
    except FileNotFoundError:
        raise UserError(f"{folder} holds no export.json: make it with dualmode export") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} was not written by dualmode export: {error}") from error


class SherpaOnnx:
    """An exported folder in sherpa-onnx, on one thread; greedy decoding.

    Attributes:
        about: the row that describes it: runtime, precision, bytes, sub-network.
    """

    def __init__(self, folder: Path, precision: str):
        exported = read_about(folder)
        if precision not in exported["files"]:
            raise UserError(f"{folder} has no {precision} files: export it with --int8")
        try:
            import sherpa_onnx
        except ImportError:
            raise UserError(
                "sherpa-onnx is not installed: run tools/setup.sh --with-device, or pip install 'dualmode[device]'"
            ) from None
        files = exported["files"][precision]
        paths = [os.fspath(folder / name) for name in files]
        common = {"tokens": os.fspath(folder / "tokens.txt"), "num_threads": 1, "provider": "cpu"}
        self._whole = exported["chunk_ms"] is None
        kind = sherpa_onnx.OfflineRecognizer if self._whole else sherpa_onnx.OnlineRecognizer
        if exported["kind"] == "ctc":
            from_model = kind.from_zipformer_ctc if self._whole else kind.from_zipformer2_ctc
            self._recogniser = from_model(model=paths[0], **common)
        else:
            parts = dict(zip(("encoder", "decoder", "joiner"), paths, strict=True))
            model_type = "transducer" if self._whole else "ebranchformer"
            self._recogniser = kind.from_transducer(**parts, model_type=model_type, **common)
        self._cut = None if self._whole else (exported["window"], exported["shift"])
        self.about = {
            "runtime": f"sherpa-onnx {sherpa_onnx.__version__}",
            "precision": precision,
            "bytes": sum(files.values()),
            **{key: exported[key] for key in ("sparsity", "chunk_ms", "left_ms", "lookahead_ms")},
        }

    def transcribe(self, samples: np.ndarray) -> str:
        """Return the text of samples (n,) in [-1, 1] at 16 kHz, heard 100 ms at a time; whole in the full context."""
        stream = self._recogniser.create_stream()
        if self._whole:
            stream.accept_waveform(SAMPLE_RATE, samples)
            self._recogniser.decode_stream(stream)
            return " ".join(words(stream.result.text))
        samples = padded(samples, *self._cut)
        for start in range(0, len(samples), PIECE):
            stream.accept_waveform(SAMPLE_RATE, samples[start : start + PIECE])
            self._decode(stream)
        stream.input_finished()
        self._decode(stream)
        return " ".join(words(self._recogniser.get_result(stream)))

    def _decode(self, stream) -> None:
        while self._recogniser.is_ready(stream):
            self._recogniser.decode_stream(stream)


class DeviceEngine:
    """A file of dualmode pack-device in our compiled engine, or in what runs it in its stead, on one thread.

    Args:
        path: of the file.
        device: the file as it was opened; by default it is opened in the compiled engine.

    Attributes:
        about: as of :class:`SherpaOnnx`.
        subnet: which sub-network the file holds.
    """

    def __init__(self, path: Path, device=None):
        from dualmode.device.engine import Device

        self._device = device or Device.open(path)
        info = self._device.info
        self.subnet = Subnet(round(info.sparsity, 6), Context(info.chunk, info.left, info.right))
        self.about = {
            "runtime": "dualmode",
            "precision": "int8" if device is None and info.int8 else "fp32",
            "bytes": path.stat().st_size,
            "sparsity": self.subnet.sparsity,
            "chunk_ms": self.subnet.context.chunk_ms,
            "left_ms": self.subnet.context.left_ms,
            "lookahead_ms": self.subnet.context.lookahead_ms,
        }

    @property
    def has_times(self) -> bool:
        """Whether words have times: of the compiled engine."""
        return hasattr(self._device, "words")

    def transcribe(self, samples: np.ndarray) -> str:
        """Return the text of samples (n,) in [-1, 1] at 16 kHz, heard 100 ms at a time."""
        self._device.reset()
        for start in range(0, len(samples), PIECE):
            self._device.accept_samples(samples[start : start + PIECE])
        self._device.finish()
        return self._device.text

    def recognise(self, parts: Sequence[Piece]) -> list[Result]:
        """Return the result of each piece of a recording, one after the other; PyTorch in its stead knows no times."""
        results = []
        for piece in parts:
            text, start = self.transcribe(piece.samples), piece.start_ms
            if self.has_times:
                heard = tuple(
                    Word(
                        word.text, start + word.start_ms, word.stable_ms and start + word.stable_ms, start + word.end_ms
                    )
                    for word in self._device.words
                )
            else:
                heard = tuple(Word(word) for word in words(text))
            transcript = Transcript(heard, self.subnet, nbest=(Alternative(heard, None),))
            results.append(Result(piece.start_ms, piece.end_ms, transcript))
        return results


def open_engine(path: Path) -> DeviceEngine:
    """Open a device file in the compiled engine or, after saying so, in PyTorch.

    Raises:
        UserError: it is missing or damaged.
    """
    from dualmode.device.engine import EngineMissing

    try:
        return DeviceEngine(path)
    except EngineMissing:
        from dualmode.device.fallback import open_device

        return DeviceEngine(path, open_device(path))


def open_runtime(model: Path, precision: str) -> SherpaOnnx | DeviceEngine:
    """Open an exported folder (in the precision asked for) or a device file.

    Raises:
        UserError: it is neither, is damaged, or its runtime is not installed.
    """
    return SherpaOnnx(model, precision) if model.is_dir() else DeviceEngine(model)
