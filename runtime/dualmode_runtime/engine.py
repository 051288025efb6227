"""The engine of ``csrc/`` from Python, by ctypes: no binding to compile, no Python in the library."""

import ctypes
import functools
import operator
import os
from ctypes import POINTER, c_char_p, c_double, c_float, c_int, c_int32, c_int64, c_size_t, c_uint8, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dualmode_runtime.build import BUILT, LIBRARY, is_stale
from dualmode_runtime.errors import UserError
from dualmode_runtime.frames import MAX_PEAK

FLOATS = POINTER(c_float)
ERROR_SIZE = 512
ENDPOINTS = (None, "silence", "nothing said", "too long")  # as numbered in device.h


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


class _Endpointing(ctypes.Structure):
    _fields_ = [(name, c_double) for name in ("silence_ms", "max_lead_ms", "max_utterance_ms")]


class _Word(ctypes.Structure):
    _fields_ = [("text", c_char_p), *((name, c_double) for name in ("start_ms", "end_ms", "stable_ms"))]


# name: (result, arguments before the error text)
_FUNCTIONS: dict[str, tuple[Any, tuple]] = {
    "dualmode_model_open": (c_void_p, (c_char_p, c_char_p)),
    "dualmode_model_open_memory": (c_void_p, (c_char_p, c_size_t, c_char_p)),
    "dualmode_stream": (c_void_p, (c_void_p,)),
    "dualmode_set_rate": (c_int, (c_void_p, c_int32)),
    "dualmode_set_endpointing": (c_int, (c_void_p, POINTER(_Endpointing))),
    "dualmode_next_utterance": (c_int, (c_void_p,)),
    "dualmode_accept_samples": (c_int, (c_void_p, FLOATS, c_size_t)),
    "dualmode_accept_features": (c_int, (c_void_p, FLOATS, c_size_t)),
    "dualmode_finish": (c_int, (c_void_p,)),
    "dualmode_resample": (c_int64, (FLOATS, c_size_t, c_int32, FLOATS, c_size_t)),
    "dualmode_encode": (c_int, (c_void_p, FLOATS, c_size_t, FLOATS, FLOATS)),
    "dualmode_matrix_new": (
        c_void_p,
        (c_int, c_size_t, c_size_t, c_size_t, POINTER(c_uint8), c_void_p, FLOATS, FLOATS, c_char_p),
    ),
}
_SAFE_FUNCTIONS: dict[str, tuple[Any, tuple]] = {
    "dualmode_model_free": (None, (c_void_p,)),
    "dualmode_model_get_info": (_Info, (c_void_p,)),
    "dualmode_free": (None, (c_void_p,)),
    "dualmode_reset": (None, (c_void_p,)),
    "dualmode_get_info": (_Info, (c_void_p,)),
    "dualmode_get_kernels": (c_char_p, (c_void_p,)),
    "dualmode_run_products": (None, (c_void_p, c_size_t)),
    "dualmode_tokens": (c_size_t, (c_void_p, POINTER(POINTER(c_int32)))),
    "dualmode_token_times": (c_size_t, (c_void_p, POINTER(POINTER(c_double)))),
    "dualmode_text": (c_char_p, (c_void_p,)),
    "dualmode_words": (c_size_t, (c_void_p, POINTER(POINTER(_Word)))),
    "dualmode_start_ms": (c_double, (c_void_p,)),
    "dualmode_end_ms": (c_double, (c_void_p,)),
    "dualmode_endpoint": (c_int, (c_void_p,)),
    "dualmode_fbank": (c_size_t, (FLOATS, c_size_t, FLOATS, c_size_t)),
    "dualmode_matrix_multiply": (c_int, (c_void_p, FLOATS, c_size_t, FLOATS)),
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
            "python -m dualmode_runtime.build"
        )
    if is_stale(path.parent):
        raise EngineMissing(f"{path} was compiled from other sources: run python -m dualmode_runtime.build")
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
    if result is None or (_FUNCTIONS[name][0] in (c_int, c_int64) and result < 0):
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


def _name(text: str | os.PathLike | bytes | None) -> bytes | None:
    """Return what C takes for a name or path, which ends at the first zero."""
    if text is None:
        return None
    name = os.fsencode(text)
    if b"\0" in name:
        raise UserError(f"{ascii(os.fsdecode(name))} has a zero byte, which no name has")
    return name


@dataclass(frozen=True)
class DeviceWord:
    """A word that the engine heard; times in ms from the audio's beginning on.

    Attributes:
        text: as written.
        start_ms, end_ms: of the 40 ms frames in which its first and last token were put out.
        stable_ms: how much audio had been heard when the word could not change any more; None while it still can.
    """

    text: str
    start_ms: float
    end_ms: float
    stable_ms: float | None = None


class _Handle:
    """What the library must free once: by :meth:`close`, by the end of a ``with``, or with the object."""

    _free: str  # function of the library
    _pointer: int | None = None

    def __init__(self, pointer: int, library: ctypes.CDLL):
        self._pointer, self._library = pointer, library

    @property
    def _handle(self) -> int:
        if self._pointer is None:
            raise UserError(f"this {type(self).__name__} is closed")
        return self._pointer

    def close(self) -> None:
        """Free the memory; a second time does nothing."""
        pointer, self._pointer = self._pointer, None
        if pointer is not None:
            getattr(self._library, self._free)(pointer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        self.close()

    def __reduce__(self):
        # A copy would free the same memory a second time.
        raise TypeError(f"a {type(self).__name__} of the engine cannot be copied or pickled: open another one")


class DeviceModel(_Handle):
    """A device file in memory, of which any number of streams, in any threads, share the weights.

    >>> model = DeviceModel.open("model.dmdl")                  # doctest: +SKIP
    >>> streams = [model.stream() for _ in range(50)]           # doctest: +SKIP

    Streams that are open go on when the model is closed.

    Attributes:
        info: the model's sizes, see ``dualmode_info`` in device.h.
    """

    _free = "dualmode_model_free"

    def __init__(self, pointer: int, library: ctypes.CDLL):
        super().__init__(pointer, library)
        self.info = library.dualmode_model_get_info(pointer)

    @classmethod
    def open(
        cls, model: str | os.PathLike | bytes, kernels: str | None = None, library: ctypes.CDLL | None = None
    ) -> "DeviceModel":
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
            pointer = _call(library, "dualmode_model_open_memory", model, len(model), _name(kernels))
        else:
            pointer = _call(library, "dualmode_model_open", _name(model), _name(kernels))
        return cls(pointer, library)

    def stream(self) -> "Device":
        """Open a stream."""
        return Device(_call(self._library, "dualmode_stream", self._handle), self._library)


class Device(_Handle):
    """A stream of a recogniser in the compiled engine; one utterance after the other, one thread at a time.

    >>> device = Device.open("model.dmdl")                      # doctest: +SKIP
    >>> device.accept_samples(samples)                          # doctest: +SKIP
    >>> device.finish()                                         # doctest: +SKIP
    >>> device.text, device.words                               # doctest: +SKIP

    An endless stream ends its utterances by itself:

    >>> device.set_endpointing()                                # doctest: +SKIP
    >>> for piece in pieces:                                    # doctest: +SKIP
    ...     device.accept_samples(piece)
    ...     while device.endpoint:
    ...         print(device.text)
    ...         device.next_utterance()

    Attributes:
        info: the model's sizes, see ``dualmode_info`` in device.h.
        kernels: which instruction set is used: "avx512vnni", "avx2", "dotprod" or "portable".
    """

    _free = "dualmode_free"

    def __init__(self, pointer: int, library: ctypes.CDLL):
        super().__init__(pointer, library)
        self.info = library.dualmode_get_info(pointer)
        self.kernels = library.dualmode_get_kernels(pointer).decode()

    @classmethod
    def open(
        cls, model: str | os.PathLike | bytes, kernels: str | None = None, library: ctypes.CDLL | None = None
    ) -> "Device":
        """Open a device file and its only stream; see :meth:`DeviceModel.open`."""
        with DeviceModel.open(model, kernels, library) as opened:
            return opened.stream()

    def reset(self) -> None:
        """Forget everything that was heard; endpointing stays."""
        self._library.dualmode_reset(self._handle)

    def accept_samples(self, samples: np.ndarray, rate: int = 16000) -> None:
        """Take more samples (n,): floats in [-1, 1], or integers of the full range of their type.

        Args:
            rate: Hz; what is not 16 kHz is resampled.

        Raises:
            UserError: a sample is not finite, or far outside of [-1, 1]; the rate is impossible, or not that of the
                samples before.
        """
        hertz = max(-(2**31), min(operator.index(rate), 2**31 - 1))  # what is passed on has 32 bits
        _call(self._library, "dualmode_set_rate", self._handle, hertz)
        samples = _contiguous(as_floats(samples), None)
        _call(self._library, "dualmode_accept_samples", self._handle, _floats(samples), len(samples))

    def accept_features(self, features: np.ndarray) -> None:
        """Take more features (frames of 10 ms, bins)."""
        features = _contiguous(features, None, self.info.bins)
        _call(self._library, "dualmode_accept_features", self._handle, _floats(features), len(features))

    def finish(self) -> None:
        """Decode what is left at the audio's end."""
        _call(self._library, "dualmode_finish", self._handle)

    def set_endpointing(
        self, silence_ms: float = 1000, max_lead_ms: float = 5000, max_utterance_ms: float = 30000
    ) -> None:
        """Let utterances end by themselves, by the rules of :class:`dualmode_runtime.endpoint.Endpointing`.

        Raises:
            UserError: a time is not above 0, or something was heard already.
        """
        rules = _Endpointing(silence_ms, max_lead_ms, max_utterance_ms)
        _call(self._library, "dualmode_set_endpointing", self._handle, ctypes.byref(rules))

    @property
    def endpoint(self) -> str | None:
        """Why the utterance has ended by itself, "silence", "nothing said" or "too long", or None."""
        return ENDPOINTS[self._library.dualmode_endpoint(self._handle)]

    def next_utterance(self) -> None:
        """Begin the utterance behind the one that ended, and decode what was heard of it already.

        Raises:
            UserError: none has ended.
        """
        _call(self._library, "dualmode_next_utterance", self._handle)

    @property
    def start_ms(self) -> float:
        """Where in the audio the utterance begins."""
        return self._library.dualmode_start_ms(self._handle)

    @property
    def end_ms(self) -> float:
        """Where the utterance ended, or how far it was searched."""
        return self._library.dualmode_end_ms(self._handle)

    @property
    def tokens(self) -> list[int]:
        """Token numbers so far."""
        first = POINTER(c_int32)()
        count = self._library.dualmode_tokens(self._handle, ctypes.byref(first))
        return first[:count]

    @property
    def token_times_ms(self) -> list[float]:
        """Beginnings of the 40 ms frames in which the tokens were put out."""
        first = POINTER(c_double)()
        count = self._library.dualmode_token_times(self._handle, ctypes.byref(first))
        return first[:count]

    @property
    def words(self) -> list[DeviceWord]:
        """Words so far; the last one may still change."""
        first = POINTER(_Word)()
        count = self._library.dualmode_words(self._handle, ctypes.byref(first))
        return [
            DeviceWord(word.text.decode(), word.start_ms, word.end_ms, None if word.stable_ms < 0 else word.stable_ms)
            for word in first[:count]
        ]

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
    if samples.size and not np.abs(samples).max() <= MAX_PEAK:
        raise UserError("samples are not finite, or far outside of [-1, 1]: divide integers by their range")
    return samples


class BlockMatrix(_Handle):
    """A block-sparse matrix in the engine, for tests: ``multiply(x)`` is ``x @ weight.T + bias``.

    Args:
        keep: (row blocks, column blocks), booleans: which blocks of (block_rows, 4) are stored.
        values: (kept, block_rows, 4), int8 or float32.
        scales: (outputs,) for int8, else None.
        bias: (outputs,).
        inputs: columns of the matrix, perhaps fewer than its blocks cover.
    """

    _free = "dualmode_matrix_free"

    def __init__(self, keep, values, scales, bias, inputs, kernels=None, library=None):
        library = library or load_library()
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
        pointer = _call(
            library,
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
        super().__init__(pointer, library)

    def multiply(self, x: np.ndarray) -> np.ndarray:
        """Map x (frames, inputs) to (frames, outputs)."""
        x = _contiguous(x, None, self.inputs)
        y = np.empty((len(x), self.outputs), np.float32)
        if self._library.dualmode_matrix_multiply(self._handle, _floats(x), len(x), _floats(y)):
            raise MemoryError
        return y


def fbank(samples: np.ndarray, library: ctypes.CDLL | None = None) -> np.ndarray:
    """Return the engine's log-mel features, ((samples + 80) // 160, 80), of samples (n,) in [-1, 1] at 16 kHz."""
    samples = _contiguous(samples, None)
    features = np.empty(((len(samples) + 80) // 160, 80), np.float32)
    arguments = _floats(samples), len(samples), _floats(features), len(features)
    if (library or load_library()).dualmode_fbank(*arguments) != len(features):
        raise MemoryError
    return features


def resample(samples: np.ndarray, rate: int, library: ctypes.CDLL | None = None) -> np.ndarray:
    """Return samples (n,) of ``rate`` Hz at 16 kHz, ceil(n * 16000 / rate) of them.

    Raises:
        UserError: the rate is below 4 kHz, above 384 kHz, or unusual: it has no common divisor of 25 or more with
            16000.
    """
    samples = _contiguous(samples, None)
    resampled = np.empty(-(-len(samples) * 16000 // max(rate, 1)), np.float32)
    arguments = _floats(samples), len(samples), rate, _floats(resampled), len(resampled)
    _call(library or load_library(), "dualmode_resample", *arguments)
    return resampled
