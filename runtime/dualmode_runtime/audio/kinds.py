"""What kind of audio file begins with given bytes, whatever its name says.

``other_kind`` of csrc/audio_file.cpp does the same for the program.
"""

from dualmode_runtime.audio.compressed import mp3_frame

BEGINNING = 12  # bytes that tell every kind but MP3 without tags
# Ending of a file's name: where in the file what stands.
_KINDS: tuple[tuple[str, int, bytes], ...] = (
    (".rf64", 0, b"RF64"),
    (".w64", 0, b"riff"),
    (".flac", 0, b"fLaC"),
    (".ogg", 0, b"OggS"),
    (".mp3", 0, b"ID3"),
    (".aiff", 0, b"FORM"),
    (".au", 0, b".snd"),
    (".caf", 0, b"caff"),
    (".sph", 0, b"NIST_1A"),
    (".webm", 0, b"\x1aE\xdf\xa3"),
    (".m4a", 4, b"ftyp"),
    (".amr", 0, b"#!AMR"),
    (".wma", 0, b"0&\xb2u\x8ef\xcf\x11"),
)


def kind_of(first: bytes) -> str | None:
    """Return the usual ending of such a file's name, or None: samples without a header, too few bytes, or unknown.

    >>> kind_of(b"fLaC...."), kind_of(b"RIFF....WAVE"), kind_of(b"RIFF....AVI "), kind_of(bytes(100))
    ('.flac', '.wav', '.avi', None)

    Args:
        first: bytes of the file, :func:`bytes_to_tell` of them.
    """
    if first[:4] in (b"RIFF", b"RIFX"):
        return ".avi" if first[8:12] == b"AVI " else ".wav"
    for ending, at, begins in _KINDS:
        if first[at : at + len(begins)] == begins:
            return ending
    # One header of a frame may be chance in samples; a second one where the first says is not.
    frame = mp3_frame(first)
    return ".mp3" if frame and mp3_frame(first[frame[0] :]) else None


def bytes_to_tell(first: bytes) -> int:
    """Return how many bytes :func:`kind_of` needs of what begins so.

    >>> bytes_to_tell(b""), bytes_to_tell(b"\\xff\\xf3\\x84\\xc4" + bytes(8))
    (12, 196)
    """
    frame = mp3_frame(first) if len(first) >= BEGINNING else None
    return frame[0] + 4 if frame else BEGINNING
