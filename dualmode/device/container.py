"""The device file: header, table of sections, sections; every byte checked.  FORMAT.md describes it."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from dualmode.errors import UserError
from dualmode.lines import printable

MAGIC, VERSION = b"DUALMODE", 2
FIXED, ENTRY, ALIGN = 128, struct.Struct("<40s6I2Q"), 16
FLOAT, HALF, MATRIX_FLOAT, MATRIX_INT8, TEXT = range(5)
COLUMNS = 4  # of every block
LARGEST = 2**28  # weights of all matrices that are made dense: few bytes of a file may promise very many
TOKEN_TYPES = ("char", "word", "bpe")
PRECISIONS = ("fp32", "int8")


@dataclass(frozen=True)
class DeviceConfig:
    """The header's numbers, in the order of the file.

    Attributes:
        precision: of the matrices, index into PRECISIONS.
        bins, size, heads, units, kernel, channels, blocks: of the encoder, see EncoderConfig.
        vocabulary: tokens, the blank among them.
        chunk, left, right: the context in frames of 40 ms.
        token_type: index into TOKEN_TYPES.
        block_rows: outputs of a pruned block, which has four inputs.
        sparsity: share of pruned weights, as it was asked for.
        context: tokens that an RNN-T's predictor sees; 0 for CTC, and then the two below are 0 as well.
        predictor_size, joiner_size: of the RNN-T.
        head_size, convolution_channels: see EncoderConfig.
    """

    precision: int
    bins: int
    size: int
    heads: int
    units: int
    kernel: int
    channels: int
    blocks: int
    vocabulary: int
    chunk: int
    left: int
    right: int
    token_type: int
    block_rows: int
    sparsity: float
    context: int = 0
    predictor_size: int = 0
    joiner_size: int = 0
    head_size: int = 0
    convolution_channels: int = 0


NUMBERS = struct.Struct("<14If5I")
_RANGES = {  # as FORMAT.md and read_config of csrc/model.cpp have them
    "precision": (0, 1),
    "bins": (7, 1024),
    "size": (2, 8192),
    "heads": (1, 1024),
    "units": (1, 65536),
    "kernel": (1, 1023),
    "channels": (1, 4096),
    "blocks": (1, 1024),
    "vocabulary": (2, 1 << 20),
    "chunk": (1, 1024),
    "left": (0, 65536),
    "right": (0, 1024),
    "token_type": (0, 2),
    "block_rows": (4, 16),
    "head_size": (2, 65536),
    "convolution_channels": (1, 65536),
    "context": (0, 16),
}
_STREAM_FLOATS = 2**28  # 1 GiB


def impossible(config: DeviceConfig) -> tuple[str, str] | None:
    """Return which number no file may have and why, in words that follow "its"; None if all are possible.

    It is named by its field, or "stream" where all of them together ask for too much memory.
    """
    for name, (low, high) in _RANGES.items():
        if not low <= (value := getattr(config, name)) <= high:
            return name, f"{name} of {value} is not in {low} to {high}"
    attended, wide = config.heads * config.head_size, bins_left(config) * config.channels
    if config.head_size % 2:
        return "head_size", f"head_size of {config.head_size} is odd"
    if attended > 65536:
        return "head_size", f"{config.heads} heads of {config.head_size} are wider than 65536"
    if config.kernel % 2 == 0:
        return "kernel", f"kernel of {config.kernel} is even"
    if config.block_rows not in (4, 8, 16):
        return "block_rows", f"block_rows of {config.block_rows} are not 4, 8 or 16"
    if not 0 <= np.float32(config.sparsity) < 1:
        return "sparsity", f"sparsity of {config.sparsity} is not in 0 to 1"
    for name in ("predictor_size", "joiner_size"):
        low, high = (1, 8192) if config.context else (0, 0)
        if not low <= (value := getattr(config, name)) <= high:
            return name, f"{name} of {value} is not in {low} to {high}"
    if wide > 65536:
        return "channels", f"{config.channels} channels are {wide} wide after the subsampling, more than 65536"
    if _stream_floats(config) > _STREAM_FLOATS:
        return "stream", "stream would need more than 1 GiB of memory"
    return None


def bins_left(config: DeviceConfig) -> int:
    """Return the bins after both convolutions."""
    return ((config.bins - 1) // 2 - 1) // 2


def _stream_floats(config: DeviceConfig) -> int:
    """Return what a stream remembers and works in, in floats, as read_config of csrc/model.cpp counts it."""
    heard, attended, channels = config.chunk + config.right, config.heads * config.head_size, config.channels
    window = _padded(config.left + heard)
    wide = _padded(config.size + config.units + 3 * attended + 2 * config.convolution_channels) + ALIGN
    cached = _padded(attended + config.convolution_channels + ALIGN * config.heads) + ALIGN
    worked = 4 * wide + window + config.vocabulary + config.joiner_size + bins_left(config) * channels
    subsampled = (2 * heard + 1) * ((config.bins - 1) // 2) * channels + 40 * bins_left(config) * channels
    return 2 * config.blocks * (window + config.kernel) * cached + heard * worked + subsampled


def _padded(count: int) -> int:
    return count + -count % ALIGN


@dataclass(frozen=True)
class Section:
    """One entry of the table and its bytes."""

    name: str
    kind: int
    rows: int
    columns: int
    data: bytes
    block_rows: int = 0
    kept: int = 0


def _pad(data: bytes, multiple: int) -> bytes:
    return data + bytes(-len(data) % multiple)


def _finite(name: str, values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float32)
    if not np.isfinite(values).all():
        raise UserError(f"{name} has values that are not finite: this model cannot be exported")
    return values


def vector(name: str, values: np.ndarray, half: bool) -> Section:
    """Store ``values``, (n,) or (rows, columns), in half precision if asked to and if none overflows there."""
    values = np.atleast_2d(_finite(name, values))
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float16)
    if half and np.isfinite(rounded).all():
        return Section(name, HALF, len(values), values.shape[1], rounded.astype("<f2").tobytes())
    return Section(name, FLOAT, len(values), values.shape[1], values.astype("<f4").tobytes())


def to_blocks(weight: np.ndarray, block_rows: int) -> np.ndarray:
    """Cut weight (out, in) into blocks (all blocks, rows, 4), padded with zeros to whole ones."""
    out, inner = weight.shape
    padded = np.pad(weight, ((0, -out % block_rows), (0, -inner % COLUMNS)))
    grid = padded.reshape(padded.shape[0] // block_rows, block_rows, padded.shape[1] // COLUMNS, COLUMNS)
    return grid.transpose(0, 2, 1, 3).reshape(-1, block_rows, COLUMNS)


def from_blocks(blocks: np.ndarray, out: int, inner: int) -> np.ndarray:
    """Undo :func:`to_blocks`."""
    rows = blocks.shape[1]
    down, across = -(-out // rows), -(-inner // COLUMNS)
    grid = blocks.reshape(down, across, rows, COLUMNS).transpose(0, 2, 1, 3)
    return grid.reshape(down * rows, across * COLUMNS)[:out, :inner]


def scale_of(codes: np.ndarray) -> np.ndarray:
    """Return the scales that are stored as bytes: eight steps an octave, from 2**-24 to 2**7.9; 0 is 0."""
    return np.where(codes > 0, np.exp2((codes.astype(np.float64) - 192) / 8), 0.0).astype(np.float32)


def quantise(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round weight (out, in) to int8, each output by its largest magnitude.

    Returns:
        values (out, in), at most 127 in magnitude, and the scales' codes (out,): ``weight ~ scale_of(code) * value``.

    Raises:
        UserError: a weight is larger than the largest scale holds, about 30000.
    """
    peaks = np.abs(weight).max(axis=1, initial=0.0).astype(np.float64)
    # A scale is rounded up, so that no value is cut off.
    codes = np.ceil(8 * np.log2(np.maximum(peaks, 1e-30) / 127) + 192 - 1e-6)
    if (codes > 255).any():
        raise UserError(f"a weight of {peaks.max():.3g} is too large for int8: export the model as fp32")
    codes = np.where(peaks > 0, np.maximum(codes, 1), 0).astype(np.uint8)
    scales = scale_of(codes)
    factors = np.divide(1.0, scales, where=scales > 0, out=np.zeros_like(scales))
    return np.clip(np.rint(weight * factors[:, None]), -127, 127).astype(np.int8), codes


def matrix(name: str, weight: np.ndarray, block_rows: int, int8: bool) -> Section:
    """Store weight (out, in): a bitmask of the blocks that are not all zero, scales of the outputs, kept blocks."""
    weight = _finite(name, weight)
    out, inner = weight.shape
    kept = to_blocks(weight, block_rows).any(axis=(1, 2))
    values, codes = quantise(weight) if int8 else (weight.astype("<f4"), None)
    data = _pad(np.packbits(kept).tobytes(), ALIGN)
    if int8:
        data += _pad(codes.tobytes() + bytes(-out % block_rows), ALIGN)
    data += to_blocks(values, block_rows)[kept].tobytes()
    kind = MATRIX_INT8 if int8 else MATRIX_FLOAT
    return Section(name, kind, out, inner, data, block_rows, int(kept.sum()))


def has_control(token: str) -> bool:
    """Return whether a token has a character that no line of a device file has: FORMAT.md lists them."""
    return "\n" in token or "\t" in token or printable(token) != token


def text(name: str, lines: Sequence[str]) -> Section:
    """Store lines of text."""
    return Section(name, TEXT, len(lines), 1, "".join(f"{line}\n" for line in lines).encode())


def file_bytes(config: DeviceConfig, sections: Sequence[Section]) -> bytes:
    """Return the whole file."""
    header_size = FIXED + ENTRY.size * len(sections)
    table, body, end = b"", bytearray(), header_size
    for section in sections:
        body += bytes(-end % ALIGN)
        offset = header_size + len(body)
        name = section.name.encode()
        if len(name) > 40:
            raise ValueError(f"the name {section.name} is too long")
        table += ENTRY.pack(
            name,
            section.kind,
            section.rows,
            section.columns,
            section.block_rows,
            section.kept,
            zlib.crc32(section.data),
            offset,
            len(section.data),
        )
        body += section.data
        end = header_size + len(body)
    numbers = NUMBERS.pack(*(getattr(config, field.name) for field in fields(config)))
    start = MAGIC + struct.pack("<2IQI", VERSION, header_size, end, len(sections))
    rest = _pad(numbers, FIXED - 32) + table
    return start + struct.pack("<I", zlib.crc32(start + bytes(4) + rest)) + rest + bytes(body)


def read(data: bytes, source: str) -> tuple[DeviceConfig, dict[str, Any]]:
    """Return the configuration and, by name, dense float32 arrays (text: lines) of a device file's bytes.

    Args:
        data: the file.
        source: names it in errors.

    Raises:
        UserError: the file is damaged or of another kind, or would need more than 1 GiB of dense weights.
    """
    if len(data) < FIXED or data[:8] != MAGIC:
        raise UserError(f"{source} is no device model")
    version, header_size, size, count = struct.unpack_from("<2IQI", data, 8)
    header = data[:28] + bytes(4) + data[32:header_size]
    fits = version == VERSION and size == len(data) and header_size == FIXED + ENTRY.size * count <= size
    if not fits or zlib.crc32(header) != struct.unpack_from("<I", data, 28)[0]:
        raise UserError(f"{source} is damaged, or of another version of the format")
    config = DeviceConfig(*NUMBERS.unpack_from(data, 32))
    if fault := impossible(config):
        raise UserError(f"{source} is damaged: its {fault[1]}")
    if any(data[32 + NUMBERS.size : FIXED]):
        raise UserError(f"{source} is damaged: its header has something where zeros must be")
    tensors, end, dense = {}, header_size, 0
    for index in range(count):
        name, kind, rows, columns, block_rows, kept, checksum, offset, length = ENTRY.unpack_from(
            data, FIXED + ENTRY.size * index
        )
        name, part = name.rstrip(b"\0").decode(errors="replace"), data[offset : offset + length]
        if offset != _padded(end) or any(data[end:offset]):
            raise UserError(f"{source} is damaged: the section {name} is not where the one before it ends")
        end = offset + length
        if zlib.crc32(part) != checksum:
            raise UserError(f"{source}: the section {name} is damaged")
        if name in tensors:
            raise UserError(f"{source} is damaged: the section {name} comes twice")
        if kind in (MATRIX_FLOAT, MATRIX_INT8) and block_rows in (4, 8, 16):
            dense += _blocks(rows, columns, block_rows) * block_rows * COLUMNS
        if dense > LARGEST:
            raise UserError(f"{source} is too large to run without the engine: its weights need more than 1 GiB")
        try:
            tensors[name] = _decode(part, kind, rows, columns, block_rows, kept)
        except (ValueError, IndexError) as error:
            raise UserError(f"{source}: the section {name} is impossible: {error}") from error
    if end != size:
        raise UserError(f"{source} is damaged: its last section does not end where the file does")
    return config, tensors


def _blocks(rows: int, columns: int, block_rows: int) -> int:
    return -(-rows // block_rows) * -(-columns // COLUMNS)


def _all_finite(values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise ValueError("a value is not finite")
    return values


def _decode(part: bytes, kind: int, rows: int, columns: int, block_rows: int, kept: int) -> np.ndarray | list[str]:
    if kind == TEXT:
        lines = part.decode().split("\n")[:-1]
        if odd := [number for number, line in enumerate(lines) if has_control(line)]:
            raise ValueError(f"its line {odd[0]} has a control character")
        return lines
    if kind in (FLOAT, HALF):
        stored = np.frombuffer(part, "<f4" if kind == FLOAT else "<f2").reshape(rows, columns).astype(np.float32)
        return _all_finite(stored)
    if kind not in (MATRIX_FLOAT, MATRIX_INT8) or block_rows not in (4, 8, 16):
        raise ValueError("its kind is unknown")
    padded = -(-rows // block_rows) * block_rows
    blocks = _blocks(rows, columns, block_rows)
    bitmask = -(-blocks // 8)
    if len(part) < bitmask:
        raise ValueError("it is shorter than its mask")
    keep = np.unpackbits(np.frombuffer(part[:bitmask], np.uint8), count=blocks).astype(bool)
    start = _padded(bitmask)
    scales = np.ones(rows, np.float32)
    if kind == MATRIX_INT8:
        scales = scale_of(np.frombuffer(part, np.uint8, rows, start))
        start += _padded(padded)
    whole = np.zeros((blocks, block_rows, COLUMNS), np.float32)
    values = np.frombuffer(part, np.int8 if kind == MATRIX_INT8 else "<f4", -1, start) if kept else np.zeros(0)
    if kept != keep.sum():
        raise ValueError("its mask keeps another number of blocks")
    whole[keep] = _all_finite(values).reshape(kept, block_rows, COLUMNS)
    return from_blocks(whole, rows, columns) * scales[:, None]
