"""Ids of utterances and speakers that Kaldi folders and file names can hold."""

import hashlib
import re
from pathlib import Path

from dualmode.data.corpus.row import Row
from dualmode.data.speed import original

_LONGEST, _LONGEST_BYTES = 60, 100  # characters and bytes of a name; a file's, of speaker and utterance, has 255 bytes
_ODD = re.compile(r"[^\w.-]", re.UNICODE)


def short_digest(text: str, digits: int = 6) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:digits]


def clean(name: str) -> str:
    """Return ``name`` if it can be an id, else what is left of it and a digest that tells it from others.

    >>> clean("anna-01"), clean("anna 01")
    ('anna-01', 'anna_01-de32ec')
    """
    kept = _ODD.sub("_", name).lstrip(".-")[:_LONGEST].encode()[:_LONGEST_BYTES].decode(errors="ignore")
    if kept and original(kept) != kept:  # it would be taken for a copy of another speed
        kept = f"u-{kept}"
    return kept if kept == name else f"{kept}{'-' if kept else ''}{short_digest(name)}"


def speaker_id(speaker: str) -> str:
    """Return a speaker's id; Common Voice's, 128 digits long, are shortened.

    >>> speaker_id("anna"), len(speaker_id(128 * "ab"))
    ('anna', 14)
    """
    return clean(speaker) if len(speaker) <= _LONGEST else f"s-{short_digest(speaker, 12)}"


def utterance_id(row: Row, speaker: str | None) -> str:
    """Return an id that begins with the speaker's, as Kaldi wants it.

    It goes by the corpus's own id, or by the recording's name and where in it the utterance is, in ms.
    """
    name = row.name
    if name is None:
        name = Path(row.audio).stem
        if row.start or (row.seconds is not None and row.start):
            name += f"-{round(1000 * row.start):07d}"
    name = clean(name)
    return name if speaker is None or name == speaker or name.startswith(f"{speaker}-") else f"{speaker}-{name}"
