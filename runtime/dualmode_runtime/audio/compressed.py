"""Compressed audio: whether the frames of a FLAC or MP3 file and the pages of an Ogg file are all there.

These formats are streams that a decoder can stop reading anywhere, so that half a file sounds like a whole one.  What
shows its end: the number of FLAC's last frame, the mark of Ogg's last page, the count in MP3's first frame (of LAME and
others) and the length of its last.  An MP3 file without such a count that is cut exactly between two frames is a whole
one of fewer frames: nothing tells.
"""

import io
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import BinaryIO

_FLAC_TAIL = 1 << 18  # bytes in which the last frame is looked for; frames are a few thousand bytes long
_FLAC_TRIES = 32  # headers with a right checksum in front of no frame, which chance makes once in thirty files

# kbit/s by [MPEG 1 or later][layer - 1][index]; samples of a frame by the same; Hz of MPEG 1 by index.
_KBIT = (
    (
        (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
        (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
        (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    ),
    (
        (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
        (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
        (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    ),
)
_SAMPLES = ((384, 1152, 1152), (384, 1152, 576))
_HZ = (44100, 48000, 32000)


@cache
def _table(polynomial: int, bits: int) -> tuple[int, ...]:
    top, mask = 1 << (bits - 1), (1 << bits) - 1
    table = []
    for byte in range(256):
        value = byte << (bits - 8)
        for _ in range(8):
            value = ((value << 1) ^ (polynomial if value & top else 0)) & mask
        table.append(value)
    return tuple(table)


def _crc(data: bytes, polynomial: int, bits: int) -> int:
    table, value, mask = _table(polynomial, bits), 0, (1 << bits) - 1
    for byte in data:
        value = ((value << 8) & mask) ^ table[(value >> (bits - 8)) ^ byte]
    return value


def _id3(file: BinaryIO) -> int:
    """Return how many bytes of ID3v2 tags stand before the audio."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3":
            return at
        a, b, c, d = head[6:10]
        at += 10 + (a << 21 | b << 14 | c << 7 | d) + (10 if head[5] & 0x10 else 0)


# --- FLAC ------------------------------------------------------------------------------------------------------------


def flac_lengths(file: BinaryIO, size: int) -> tuple[int, int | None]:
    """Return the samples that STREAMINFO states (0: unknown) and those up to the last whole frame; None: there is none.

    The last frame (RFC 9639, section 9) is found from the file's end, by the checksums of its header and of itself.
    """
    begin = _id3(file)
    file.seek(begin)
    head = file.read(42)
    if len(head) < 42 or head[:4] != b"fLaC":
        return 0, None
    block_size = int.from_bytes(head[10:12], "big")
    stated = int.from_bytes(head[21:26], "big") & ((1 << 36) - 1)
    file.seek(max(size - _FLAC_TAIL, begin + 42))
    tail = file.read()
    if tail[-128:].startswith(b"TAG"):
        tail = tail[:-128]
    if not stated and b"\xff\xf8" not in tail and b"\xff\xf9" not in tail:
        return 0, 0
    at, tried = len(tail), 0
    while (at := tail.rfind(b"\xff", 0, at)) >= 0 and tried < _FLAC_TRIES:
        end = _flac_frame_end(tail[at : at + 16], block_size)
        if end is not None:
            if _crc(tail[at:], 0x8005, 16) == 0:
                return stated, end
            tried += 1
    return stated, None


def _flac_frame_end(head: bytes, block_size: int) -> int | None:
    """Return the sample after a frame whose header begins ``head``; None: it is no header."""
    if len(head) < 6 or head[1] & 0xFE != 0xF8 or head[3] & 1:
        return None
    variable, code, rate = head[1] & 1, head[2] >> 4, head[2] & 15
    ones = next((bit for bit in range(8) if not head[4] & 0x80 >> bit), 8)
    length = max(ones, 1)  # of the number, coded as UTF-8 codes characters
    if ones in (1, 8) or code == 0 or rate == 15 or any(byte & 0xC0 != 0x80 for byte in head[5 : 4 + length]):
        return None
    number = head[4] & (0x7F >> ones if ones else 0x7F)
    for byte in head[5 : 4 + length]:
        number = number << 6 | byte & 0x3F
    at = 4 + length
    more = {6: 1, 7: 2}.get(code, 0)
    end = at + more + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if len(head) <= end or _crc(head[: end + 1], 0x07, 8):
        return None
    if more:
        samples = int.from_bytes(head[at : at + more], "big") + 1
    else:
        samples = 192 if code == 1 else 576 << (code - 2) if code < 6 else 256 << (code - 8)
    return (number if variable else number * block_size) + samples


def flac_with_length(path: Path) -> BinaryIO | None:
    """Return a FLAC file in memory whose header leaves its length open, with its length; None for all others.

    libsndfile cannot decode the last samples of such a file.
    """
    with open(path, "rb") as file:
        begin, size = _id3(file), path.stat().st_size
        file.seek(begin)
        if file.read(4) != b"fLaC":
            return None
        stated, real = flac_lengths(file, size)
        if stated or not real:
            return None
        file.seek(0)
        data = bytearray(file.read())
    at = begin + 21  # 4 bits of the sample size, 36 bits of the length
    data[at : at + 5] = (((data[at] >> 4) << 36) | real).to_bytes(5, "big")
    return io.BytesIO(data)


def flac_fault(file: BinaryIO, size: int) -> str:
    """Return what is wrong with a FLAC file's length, or ""."""
    stated, real = flac_lengths(file, size)
    if real is None:
        return "is cut off, or damaged at its end: there is no whole frame"
    if stated and real < stated:
        return f"is cut off: it has {real} of {stated} samples"
    if stated and real > stated:
        return f"has {real} samples, and a header that states {stated}: encode it anew"
    return ""


# --- Ogg -------------------------------------------------------------------------------------------------------------


_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def ogg_checksum(page: bytes) -> bytes:
    """Return the checksum of a page whose own one is zeros: zlib's polynomial, with the bits the other way round."""
    return (zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF).to_bytes(4, "big").translate(_MIRRORED)


def ogg_fault(file: BinaryIO, size: int) -> str:
    """Return what is wrong with the pages of an Ogg file (RFC 3533, section 6), or ""."""
    numbers: dict[int, int] = {}
    at, ended = 0, set()
    while at + 27 <= size:
        file.seek(at)
        magic, kind, serial, number, segments = struct.unpack("<4sxB8xII4xB", file.read(27))
        if magic != b"OggS":
            break
        end = at + 27 + segments + sum(file.read(segments))
        if end > size:
            return f"is cut off: its last {end - size} bytes are missing"
        if numbers.get(serial, -1) != number - 1:
            return f"lacks pages before byte {at}: write the file anew"
        numbers[serial] = number
        file.seek(at)
        page = file.read(end - at)
        if ogg_checksum(page[:22] + bytes(4) + page[26:]) != page[22:26]:  # decoders leave such a page out
            return f"is damaged between the bytes {at} and {end}: a page has another checksum"
        if kind & 4:
            ended.add(serial)
        at = end
    if set(numbers) - ended:
        return "is cut off: its last page is missing" if at + 27 > size else f"is damaged at byte {at}"
    if len(numbers) != 1:
        return f"holds {len(numbers)} streams: make a file of each"
    file.seek(at)
    return f"has {size - at} bytes behind its last page: write the file anew" if file.read().strip(b"\0") else ""


# --- MP3 -------------------------------------------------------------------------------------------------------------


def mp3_frame(head: bytes) -> tuple[int, int] | None:
    """Return (bytes, where a Xing header stands in it) of a frame that begins ``head``; None: it is no frame."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)  # version 3 is MPEG 1, 2 is MPEG 2, 0 is 2.5
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return None
    later = version != 3
    hertz = _HZ[rate] >> {3: 0, 2: 1, 0: 2}[version]
    padding = head[2] >> 1 & 1
    bits = _KBIT[later][layer - 1][bitrate] * 1000 * _SAMPLES[later][layer - 1]
    length = (bits // hertz // 32 + padding) * 4 if layer == 1 else bits // hertz // 8 + padding
    mono = head[3] >> 6 == 3
    return length, 4 + (9 if later else 17) if mono else 4 + (17 if later else 32)


def _mp3_promise(frame: bytes, offset: int) -> int | None:
    """Return how many frames the first one, which holds no audio then, says that follow it; None if it says nothing."""
    xing, vbri = frame[offset : offset + 12], frame[36:54]
    if xing[:4] in (b"Xing", b"Info"):
        return int.from_bytes(xing[8:12], "big") if len(xing) == 12 and xing[7] & 1 else 0
    return int.from_bytes(vbri[14:18], "big") if vbri[:4] == b"VBRI" else None


def mp3_fault(file: BinaryIO, size: int) -> str:
    """Return what is wrong with the frames of an MP3 file, or ""."""
    at = _id3(file)
    file.seek(at)
    data = file.read()
    first = mp3_frame(data[:4])
    if first is None:
        return "begins with no MPEG frame: write the file anew"
    promised = _mp3_promise(data[: first[0]], first[1])
    count, at = 0, 0
    while (frame := mp3_frame(data[at : at + 4])) is not None:
        if at + frame[0] > len(data):
            return f"is cut off: its last {at + frame[0] - len(data)} bytes are missing"
        at, count = at + frame[0], count + 1
    rest = data[at:]
    if rest.strip(b"\0") and not rest.startswith((b"TAG", b"APETAGEX", b"ID3", b"LYRICSBEGIN")):
        return f"is cut off, or damaged, {len(rest)} bytes before its end"
    if promised and count - 1 != promised:
        return f"is cut off or put together: it has {count - 1} of {promised} frames"
    return ""
