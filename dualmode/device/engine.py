"""The engine of ``csrc/`` from Python, by ctypes: no binding to compile, no Python in the library."""

import ctypes
import functools
import os
from ctypes import POINTER, c_char_p, c_float, c_int, c_int32, c_size_t, c_uint8, c_void_p
from pathlib import Path
from typing import Any

import numpy as np

from dualmode.device.build import BUILT, LIBRARY, STAMP, sources_hash
from dualmode.errors import UserError

FLOATS = POINTER(c_float)
ERROR_SIZE = 512


LOUDEST = 8.0  # of float samples; what is louder was never divided by its range


class EngineMissing(UserError):
    """The engine was not compiled."""


class _Info(ctypes.Structure):
    _fields_ = [
        *(
            (name, c_int32)
            for name in ("int8", "bins", "size", "blocks", "vocabulary", "chunk", "left", "right", "block_rows")
        ),
        ("sparsity", c_float),
        *((name, c_int32) for name in ("transducer", "outputs")),
    ]


# name: (result, arguments before the error text)
_FUNCTIONS: dict[str, tuple[Any, tuple]] = {
    "dualmode_open": (c_void_p, (c_char_p, c_char_p)),
    "dualmode_open_memory": (c_void_p, (c_char_p, c_size_t, c_char_p)),
    "dualmode_accept_samples": (c_int, (c_void_p, FLOATS, c_size_t)),
    "dualmode_accept_features": (c_int, (c_void_p, FLOATS, c_size_t)),
    "dualmode_finish": (c_int, (c_void_p,)),
    "dualmode_encode": (c_int, (c_void_p, FLOATS, c_size_t, FLOATS, FLOATS)),
    "dualmode_matrix_new": (
        c_void_p,
        (c_int, c_size_t, c_size_t, c_size_t, POINTER(c_uint8), c_void_p, FLOATS, FLOATS, c_char_p),
    ),
}
_SAFE_FUNCTIONS: dict[str, tuple[Any, tuple]] = {
    "dualmode_free": (None, (c_void_p,)),
    "dualmode_reset": (None, (c_void_p,)),
    "dualmode_get_info": (_Info, (c_void_p,)),
    "dualmode_get_kernels": (c_char_p, (c_void_p,)),
    "dualmode_run_products": (None, (c_void_p, c_size_t)),
    "dualmode_tokens": (c_size_t, (c_void_p, POINTER(POINTER(c_int32)))),
    "dualmode_text": (c_char_p, (c_void_p,)),
    "dualmode_fbank": (c_size_t, (FLOATS, c_size_t, FLOATS, c_size_t)),
    "dualmode_matrix_multiply": (None, (c_void_p, FLOATS, c_size_t, FLOATS)),
    "dualmode_matrix_free": (None, (c_void_p,)),
}


@functools.cache
def load_library(path: Path = BUILT / LIBRARY) -> ctypes.CDLL:
    """Return the compiled engine.

    Raises:
        EngineMissing: it is not there, or was compiled from other sources than those that are here.
    """
    if not path.is_file():
        raise EngineMissing(
            f"the device engine was not compiled ({path} is not there): install a C++17 compiler and run "
            "python -m dualmode.device.build"
        )
    stamp = path.with_name(STAMP)
    if not stamp.is_file() or stamp.read_text(encoding="ascii") != sources_hash():
        raise EngineMissing(f"{path} was compiled from other sources: run python -m dualmode.device.build")
    library = ctypes.CDLL(str(path))
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, (*arguments, c_char_p, c_size_t)
    for name, (result, arguments) in _SAFE_FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _call(library: ctypes.CDLL, name: str, *arguments):
    """Call a function that can fail; its error is a UserError."""
    error = ctypes.create_string_buffer(ERROR_SIZE)
    result = getattr(library, name)(*arguments, error, ERROR_SIZE)
    if result is None or (_FUNCTIONS[name][0] is c_int and result < 0):
        raise UserError(error.value.decode(errors="replace"))
    return result


def _floats(values: np.ndarray | None):
    return None if values is None else values.ctypes.data_as(FLOATS)


def _contiguous(values: np.ndarray, *shape: int | None) -> np.ndarray:
    values = np.ascontiguousarray(values, dtype=np.float32)
    if values.ndim != len(shape) or any(
        want not in (None, have) for want, have in zip(shape, values.shape, strict=True)
    ):
        raise ValueError(f"expected the shape {shape}, got {values.shape}")
    return values


def _name(kernels: str | None) -> bytes | None:
    return None if kernels is None else kernels.encode()


class Device:
    """A recogniser in the compiled engine; one utterance after the other, one at a time.

    >>> device = Device.open("model.dmdl")                      # doctest: +SKIP
    >>> device.accept_samples(samples)                          # doctest: +SKIP
    >>> device.finish()                                         # doctest: +SKIP
    >>> device.text, device.tokens                              # doctest: +SKIP

    Attributes:
        info: the model's sizes, see ``dualmode_info`` in device.h.
        kernels: which instruction set is used: "avx512vnni", "avx2", "dotprod" or "portable".
    """

    def __init__(self, handle: int, library: ctypes.CDLL):
        self._handle, self._library = handle, library
        self.info = library.dualmode_get_info(handle)
        self.kernels = library.dualmode_get_kernels(handle).decode()

    @classmethod
    def open(
        cls, model: str | os.PathLike | bytes, kernels: str | None = None, library: ctypes.CDLL | None = None
    ) -> "Device":
        """Open a device file, by its path or as bytes.

        Args:
            model: the file.
            kernels: by default the best that this machine has.
            library: another build of the engine.

        Raises:
            UserError: the file is missing, damaged or hostile, or there are no such kernels.
        """
        library = library or load_library()
        if isinstance(model, bytes):
            handle = _call(library, "dualmode_open_memory", model, len(model), _name(kernels))
        else:
            handle = _call(library, "dualmode_open", os.fsencode(model), _name(kernels))
        return cls(handle, library)

    def __del__(self):
        self._library.dualmode_free(self._handle)

    def __reduce__(self):
        # A copy would free the same stream a second time.
        raise TypeError("a stream of the device engine cannot be copied or pickled: open the file once more")

    def reset(self) -> None:
        """Begin a new utterance."""
        self._library.dualmode_reset(self._handle)

    def accept_samples(self, samples: np.ndarray) -> None:
        """Take more samples (n,) at 16 kHz: floats in [-1, 1], or integers of the full range of their type.

        Raises:
            UserError: a sample is not finite, or far outside of [-1, 1].
        """
        samples = _contiguous(as_floats(samples), None)
        _call(self._library, "dualmode_accept_samples", self._handle, _floats(samples), len(samples))

    def accept_features(self, features: np.ndarray) -> None:
        """Take more features (frames of 10 ms, bins)."""
        features = _contiguous(features, None, self.info.bins)
        _call(self._library, "dualmode_accept_features", self._handle, _floats(features), len(features))

    def finish(self) -> None:
        """Decode what is left at the utterance's end."""
        _call(self._library, "dualmode_finish", self._handle)

    @property
    def tokens(self) -> list[int]:
        """Token numbers so far."""
        first = POINTER(c_int32)()
        count = self._library.dualmode_tokens(self._handle, ctypes.byref(first))
        return first[:count]

    @property
    def text(self) -> str:
        """Text so far."""
        return self._library.dualmode_text(self._handle).decode()

    def encode(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Encode the next chunk by hand.

        Args:
            features: (frames, bins), 7 to 4 * (chunk + right) + 3 frames.

        Returns:
            the encoder's output (encoder frames, size) and its head's (encoder frames, info.outputs): CTC scores
            of the vocabulary, or an RNN-T joiner's projections.
        """
        features = _contiguous(features, None, self.info.bins)
        encoded = np.empty((self.info.chunk, self.info.size), np.float32)
        scores = np.empty((self.info.chunk, self.info.outputs), np.float32)
        count = _call(
            self._library,
            "dualmode_encode",
            self._handle,
            _floats(features),
            len(features),
            _floats(encoded),
            _floats(scores),
        )
        return encoded[:count], scores[:count]

    def run_products(self) -> None:
        """Run only the blocks' matrix products of one chunk, for measurements; reset before the next utterance."""
        self._library.dualmode_run_products(self._handle, self.info.chunk)


def as_floats(samples: np.ndarray) -> np.ndarray:
    """Return samples as floats in [-1, 1]; integers are divided by the range of their type.

    >>> as_floats(np.array([-32768, 16384], dtype=np.int16)).tolist()
    [-1.0, 0.5]
    """
    samples = np.asarray(samples)
    if np.issubdtype(samples.dtype, np.signedinteger):
        return samples.astype(np.float32) / -float(np.iinfo(samples.dtype).min)
    if not np.issubdtype(samples.dtype, np.floating):
        raise UserError(f"samples are {samples.dtype}: expected floats in [-1, 1], or signed integers")
    if samples.size and not np.abs(samples).max() <= LOUDEST:
        raise UserError("samples are not finite, or far outside of [-1, 1]: divide integers by their range")
    return samples


class BlockMatrix:
    """A block-sparse matrix in the engine, for measurements: ``multiply(x)`` is ``x @ weight.T + bias``.

    Args:
        keep: (row blocks, column blocks), booleans: which blocks of (block_rows, 4) are stored.
        values: (kept, block_rows, 4), int8 or float32.
        scales: (outputs,) for int8, else None.
        bias: (outputs,).
        inputs: columns of the matrix, perhaps fewer than its blocks cover.
    """

    def __init__(self, keep, values, scales, bias, inputs, kernels=None, library=None):
        self._handle, self._library = None, library or load_library()
        self.outputs, self.inputs = len(bias), inputs
        int8, rows = values.dtype == np.int8, values.shape[1]
        if keep.shape != (-(-self.outputs // rows), -(-inputs // 4)) or len(values) != keep.sum():
            raise ValueError(f"{keep.shape} blocks, {len(values)} kept, do not make {self.outputs}x{inputs}")
        bits = np.packbits(keep)
        values = np.ascontiguousarray(values if int8 else values.astype(np.float32))
        padded = np.zeros(len(keep) * rows, np.float32)
        if int8:
            padded[: self.outputs] = scales
        bias = _contiguous(bias, None)
        self._handle = _call(
            self._library,
            "dualmode_matrix_new",
            int(int8),
            self.outputs,
            inputs,
            rows,
            bits.ctypes.data_as(POINTER(c_uint8)),
            values.ctypes.data,
            _floats(padded),
            _floats(bias),
            _name(kernels),
        )

    def __del__(self):
        self._library.dualmode_matrix_free(self._handle)

    def multiply(self, x: np.ndarray) -> np.ndarray:
        """Map x (frames, inputs) to (frames, outputs)."""
        x = _contiguous(x, None, self.inputs)
        y = np.empty((len(x), self.outputs), np.float32)
        self._library.dualmode_matrix_multiply(self._handle, _floats(x), len(x), _floats(y))
        return y


def fbank(samples: np.ndarray, library: ctypes.CDLL | None = None) -> np.ndarray:
    """Return the engine's log-mel features, ((samples + 80) // 160, 80), of samples (n,) in [-1, 1] at 16 kHz."""
    samples = _contiguous(samples, None)
    features = np.empty(((len(samples) + 80) // 160, 80), np.float32)
    count = (library or load_library()).dualmode_fbank(_floats(samples), len(samples), _floats(features), len(features))
    return features[:count]
