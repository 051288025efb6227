"""Device runtimes from Python, all with one function: audio in, text out.  Without torch, which no device has."""

import json
import os
import reprlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dualmode.errors import UserError
from dualmode.extras import missing
from dualmode.frames import EXTRA, FACTOR, SAMPLE_RATE
from dualmode.lines import read_lines, words
from dualmode_runtime.audio.pauses import Piece
from dualmode_runtime.engine import DeviceModel
from dualmode_runtime.recognizer import PIECE, Recognizer

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


AGAIN = "copy the folder again, or export it again"
MOST_FRAMES = 1 << 20  # feature frames of a chunk: three hours
ABOUT_KEYS = ("kind", "files", "sparsity", "chunk_ms", "left_ms", "lookahead_ms")


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
        cut = () if about.get("chunk_ms") is None else ("window", "shift")
        if lacking := [key for key in (*ABOUT_KEYS, *cut) if key not in about]:
            raise KeyError(lacking[0])
        for key in cut:
            if type(about[key]) is not int or not 0 < about[key] <= MOST_FRAMES:
                raise ValueError(f"{key} cannot be {reprlib.repr(about[key])}")
        for files in about["files"].values():
            if not isinstance(files, dict) or len(files) != (1 if about["kind"] == "ctc" else 3):
                raise ValueError(f"files of a recogniser of kind {about['kind']} cannot be {reprlib.repr(files)}")
        return about
    except FileNotFoundError:
        raise UserError(f"{folder} holds no export.json: make it with dualmode export") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} was not written by dualmode export: {error}") from error


def check_files(folder: Path, about: Mapping, precision: str) -> None:
    """Raise UserError unless the files of a precision, and tokens.txt, are those that export.json is about.

    sherpa-onnx ends the process, or fails in the midst of decoding, where they are not.
    """
    for name, size in about["files"][precision].items():
        path = folder / name
        found = path.stat().st_size if path.is_file() else None
        if found != size:
            has = "is not there" if found is None else f"has {found} bytes"
            raise UserError(f"{path} {has}, and export.json says {size} bytes: {AGAIN}")
    path = folder / "tokens.txt"
    if not path.is_file():
        raise UserError(f"{path} is not there: {AGAIN}")
    count = 0
    for number, line in read_lines(path):
        if line.rpartition(" ")[2] != str(count):
            raise UserError(f"{path}:{number} is no symbol with the number {count}: {AGAIN}")
        count += 1
    if count != about.get("tokens", max(count, 1)):  # folders of before do not say it
        raise UserError(f"{path} has {count} tokens, which are not all of the model's: {AGAIN}")


class SherpaOnnx:
    """An exported folder in sherpa-onnx, on one thread; greedy decoding.

    Attributes:
        about: the row that describes it: runtime, precision, bytes, sub-network.

    Raises:
        UserError: the folder is something else or damaged, or sherpa-onnx is not installed.
    """

    def __init__(self, folder: Path, precision: str):
        exported = read_about(folder)
        if precision not in exported["files"]:
            raise UserError(f"{folder} has no {precision} files: export it with --int8")
        check_files(folder, exported, precision)
        try:
            import sherpa_onnx
        except ImportError:
            raise missing("sherpa_onnx", f"{folder}") from None
        files = exported["files"][precision]
        paths = [os.fspath(folder / name) for name in files]
        self._tokens = os.fspath(folder / "tokens.txt")
        common = {"tokens": self._tokens, "num_threads": 1, "provider": "cpu"}
        self._whole = exported["chunk_ms"] is None
        kind = sherpa_onnx.OfflineRecognizer if self._whole else sherpa_onnx.OnlineRecognizer
        try:
            if exported["kind"] == "ctc":
                from_model = kind.from_zipformer_ctc if self._whole else kind.from_zipformer2_ctc
                self._recogniser = from_model(model=paths[0], **common)
            else:
                parts = dict(zip(("encoder", "decoder", "joiner"), paths, strict=True))
                model_type = "transducer" if self._whole else "ebranchformer"
                self._recogniser = kind.from_transducer(**parts, model_type=model_type, **common)
        except RuntimeError as error:  # its first line says what is wrong, the others where in ONNX Runtime
            raise UserError(f"sherpa-onnx cannot open {folder} ({str(error).splitlines()[0]}): {AGAIN}") from None
        self._cut = None if self._whole else (exported["window"], exported["shift"])
        self.about = {
            "runtime": f"sherpa-onnx {sherpa_onnx.__version__}",
            "precision": precision,
            "bytes": sum(files.values()),
            **{key: exported[key] for key in ("sparsity", "chunk_ms", "left_ms", "lookahead_ms")},
        }

    def transcribe(self, samples: np.ndarray) -> str:
        """Return the text of samples (n,) in [-1, 1] at 16 kHz, heard 100 ms at a time; whole in the full context.

        Raises:
            UserError: tokens.txt lacks a token of the model.
        """
        try:
            return self._transcribe(samples)
        except IndexError:
            raise UserError(f"{self._tokens} lacks a token that the model puts out: {AGAIN}") from None

    def _transcribe(self, samples: np.ndarray) -> str:
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
    """A file of dualmode pack-device in our compiled engine, on one thread.

    Attributes:
        about: as of :class:`SherpaOnnx`.
    """

    def __init__(self, path: Path):
        model = DeviceModel.open(path)
        self._recognizer = Recognizer(model)
        subnet = self._recognizer.subnet
        self.about = {
            "runtime": "dualmode",
            "precision": "int8" if model.info.int8 else "fp32",
            "bytes": path.stat().st_size,
            "sparsity": subnet.sparsity,
            "chunk_ms": subnet.context.chunk_ms,
            "left_ms": subnet.context.left_ms,
            "lookahead_ms": subnet.context.lookahead_ms,
        }

    def transcribe(self, samples: np.ndarray) -> str:
        """Return the text of samples (n,) in [-1, 1] at 16 kHz, heard 100 ms at a time, as one utterance."""
        [result] = self._recognizer.recognise([Piece(samples, 0.0, 1000 * len(samples) / SAMPLE_RATE, True)])
        return result.text


def open_runtime(model: Path, precision: str) -> SherpaOnnx | DeviceEngine:
    """Open an exported folder (in the precision asked for) or a device file.

    Raises:
        UserError: it is neither, is damaged, or its runtime is not installed.
    """
    return SherpaOnnx(model, precision) if model.is_dir() else DeviceEngine(model)
