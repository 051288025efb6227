"""Where the samples of an audio file end, by what its container says, and whether the file ends there.

libsndfile takes a file that is cut off, without a word, as a shorter one, and reads no further than a header says even
if there is more; the transcript would then be of other audio than is heard.  So each container that is read has a check
here, and no other container is read::

    WAV, RF64, W64, AIFF, CAF    chunks: a name, a length, the bytes     _Chunks
    AU, NIST SPHERE              a header, then samples to the end       _au, _nist
    FLAC, Ogg, MP3               frames or pages                         compressed.py

Encoders that write into a pipe cannot know the length and leave it open; then the samples reach to the file's end.
"""

import os
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from dualmode_runtime.audio.compressed import flac_fault, mp3_fault, ogg_fault

# Programs put 2**31 or 2**32 minus a little (SoX: up to 16 MB less), or -1, where a length is open; csrc/audio_file.cpp
# has the same number.
_OPEN_32 = 0x7EFF0000
_OPEN_64 = 1 << 62
_PRINTABLE = re.compile(rb"[ -~]{4}")


def length_fault(file: BinaryIO, container: str) -> str:
    """Return what is wrong with the file's length, or "" if it ends where its samples do.

    Args:
        file: open for reading.
        container: as libsndfile calls it.
    """
    check = CHECKS.get(container)
    if check is None:
        return f"is a {container} file, which may be cut off without a sign: convert it to WAV or FLAC"
    file.seek(0, os.SEEK_END)
    size = file.tell()
    file.seek(0)
    return check(file, size)


@dataclass(frozen=True)
class _Chunks:
    """A file of chunks.

    Attributes:
        first: byte at which the first chunk begins.
        head: its name and length.
        samples: name of the chunk that holds the samples.
        counted: bytes of the head that its length counts.
        align: chunks begin at multiples of so many bytes.
        open_from: lengths from here on are unknown ones.
    """

    first: int
    head: struct.Struct
    samples: bytes = b"data"
    counted: int = 0
    align: int = 2
    open_from: int = _OPEN_32

    def __call__(self, file: BinaryIO, size: int) -> str:
        at, length64, found = self.first, None, False
        while size - at >= self.head.size:
            file.seek(at)
            name, length = self.head.unpack(file.read(self.head.size))
            begin = at + self.head.size
            if name[:4] == b"ds64":  # of RF64: the length that has no place in the chunk itself
                (length64,) = struct.unpack("<8xQ", file.read(16).ljust(16, b"\0"))
            samples = not found and name[:4] == self.samples
            if samples and length64 is not None and length == 0xFFFFFFFF:
                length = length64
            elif samples and not 0 <= length < self.open_from:
                return ""
            end = begin + length - self.counted
            if found and (not _PRINTABLE.match(name) or (name[:4] == self.samples and begin < end)):
                return _more(file, at, size)  # no chunk, or one of samples that libsndfile does not read
            if not begin <= end <= size:
                return _less(end, size) if samples else _more(file, at, size) if found else ""
            found = found or samples
            at = self._next(file, end, size)
        return ""

    def _next(self, file: BinaryIO, end: int, size: int) -> int:
        """Return where the next chunk begins; some programs leave out the byte after an odd length."""
        aligned = end + -end % self.align
        if aligned > end and self.align == 2 and aligned < size:
            file.seek(aligned)
            if not _PRINTABLE.match(file.read(4)):
                file.seek(end)
                return end if _PRINTABLE.match(file.read(4)) else aligned
        return aligned


def _riff(file: BinaryIO, size: int) -> str:
    order = ">" if file.read(4) == b"RIFX" else "<"
    return _Chunks(12, struct.Struct(order + "4sI"))(file, size)


def _au(file: BinaryIO, size: int) -> str:
    magic = file.read(4)
    offset, length = struct.unpack("<2I" if magic == b"dns." else ">2I", file.read(8).ljust(8, b"\0"))
    return "" if length >= _OPEN_32 else _ends(file, offset + length, size)


def _nist(file: BinaryIO, size: int) -> str:
    head = file.read(1024).decode("latin-1")
    begin = re.match(r"NIST_1A\s+(\d{1,9})\s", head)
    # libsndfile writes the bytes of a sample of u-law and A-law as text, -s1 1.
    numbers = dict(re.findall(r"^(\w+) -(?:i|s\d+) (\d{1,12})\s*$", head, re.MULTILINE))
    if begin is None or "sample_count" not in numbers:
        return ""
    each = int(numbers.get("channel_count", 1)) * int(numbers.get("sample_n_bytes", 2))
    return _ends(file, int(begin[1]) + int(numbers["sample_count"]) * each, size)


def _ends(file: BinaryIO, end: int, size: int) -> str:
    return _less(end, size) if end > size else _more(file, end, size)


def _less(end: int, size: int) -> str:
    return f"is cut off: its last {end - size} bytes are missing"


def _more(file: BinaryIO, end: int, size: int) -> str:
    """Name bytes behind the end that a header states, unless they are zeros that fill the file up."""
    file.seek(end)
    while data := file.read(1 << 20):
        if data.strip(b"\0"):
            return f"has {size - end} bytes behind the end that its header states: write the file anew"
    return ""


CHECKS: dict[str, Callable[[BinaryIO, int], str]] = {
    "WAV": _riff,
    "WAVEX": _riff,
    "RF64": _riff,
    "W64": _Chunks(40, struct.Struct("<16sq"), counted=24, align=8, open_from=_OPEN_64),
    "AIFF": _Chunks(12, struct.Struct(">4sI"), samples=b"SSND"),
    "CAF": _Chunks(8, struct.Struct(">4sq"), align=1, open_from=_OPEN_64),
    "AU": _au,
    "NIST": _nist,
    "FLAC": flac_fault,
    "OGG": ogg_fault,
    "MP3": mp3_fault,
}
