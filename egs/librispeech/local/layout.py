"""The layout of LibriSpeech and Libri-light on disk, read one reader at a time.

LibriSpeech/SPEAKERS.TXT                              14   | F | train-clean-360  | 25.03 | Kristin LeMoine
LibriSpeech/test-other/367/130732/367-130732-0000.flac
LibriSpeech/test-other/367/130732/367-130732.trans.txt   367-130732-0000 LOBSTERS AND LOBSTERS

librilight/small/100/sea_fairies/01_baum_0000.flac    no transcripts, any file name: the utterance is
                                                      100-sea_fairies-01_baum_0000
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import filterfalse
from pathlib import Path

import soundfile

from dualmode.errors import UserError
from dualmode_runtime.tables import c_order, iterate_table


@dataclass(frozen=True)
class Recording:
    """One utterance; ``audio`` is None where only a transcript is there, ``text`` where only audio is.

    Attributes:
        utt: READER-CHAPTER-NUMBER.
        speaker: READER-CHAPTER, as in Kaldi's recipe.
        reader: READER.
        seconds: what the audio's header says; None if it cannot be read.
    """

    utt: str
    speaker: str
    reader: str
    audio: Path | None
    text: str | None
    seconds: float | None


def readers(part: Path) -> list[Path]:
    """Return the folders of a part's readers, in the C order of their utterances.

    Raises:
        UserError: there is no such part, or a folder in it is no reader's number.
    """
    if not part.is_dir():
        raise UserError(f"there is no folder {part}")
    folders = [path for path in part.iterdir() if path.is_dir() and not path.name.startswith(".")]
    for folder in folders:
        if not folder.name.isdecimal():
            raise UserError(
                f"{folder}: expected folders of readers, named by numbers: is {part} a part of LibriSpeech?"
            )
    if not folders:
        raise UserError(f"{part} has no folders of readers: is it a part of LibriSpeech?")
    return sorted(folders, key=lambda folder: c_order(f"{folder.name}-"))


def read_readers(folders: Sequence[Path]) -> list[list[Recording]]:
    """Return the recordings of each reader."""
    return [read_reader(folder) for folder in folders]


def read_reader(folder: Path) -> list[Recording]:
    """Return the recordings below a reader's folder, in C order.

    Raises:
        UserError: a list of transcripts is malformed, or two files have the same utterance id.
    """
    found = []
    for chapter in folder.iterdir():
        if chapter.is_dir() and not hidden(chapter):
            found += _read_chapter(folder.name, chapter)
    found.sort(key=lambda recording: c_order(recording.utt))
    for one, next_one in zip(found, found[1:], strict=False):
        if one.utt == next_one.utt:
            raise UserError(f"{one.audio} and {next_one.audio} are both the utterance {one.utt}: rename one of them")
    return found


def _read_chapter(reader: str, folder: Path) -> list[Recording]:
    speaker = _without_blanks(f"{reader}-{folder.name}")
    transcripts = folder / f"{reader}-{folder.name}.trans.txt"
    texts = dict(iterate_table(transcripts)) if transcripts.is_file() else {}
    recordings = []
    for audio in filterfalse(hidden, folder.glob("*.flac")):
        name = _without_blanks(audio.stem)
        utt = name if name.startswith(f"{speaker}-") else f"{speaker}-{name}"
        recordings.append(Recording(utt, speaker, reader, audio, texts.pop(utt, None), _seconds(audio)))
    return recordings + [Recording(utt, speaker, reader, None, text, None) for utt, text in texts.items()]


def hidden(path: Path) -> bool:
    """Return whether a file is none of the corpus, such as the ._NAME that macOS puts beside every file it copies."""
    return path.name.startswith(".")


def _without_blanks(name: str) -> str:
    return "_".join(name.split())


def _seconds(audio: Path) -> float | None:
    """Read the header; audio that has none that can be read is validation's business."""
    try:
        return soundfile.info(str(audio)).duration
    except soundfile.SoundFileError:
        return None


def read_genders(path: Path) -> dict[str, str]:
    """Return "f" or "m" for each reader of SPEAKERS.TXT.

    Raises:
        UserError: a line is malformed.
    """
    genders = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith(";") or not line.strip():
            continue
        fields = [field.strip() for field in line.split("|")]
        if len(fields) < 2 or not fields[0].isdecimal() or fields[1] not in ("F", "M"):
            raise UserError(f"{path}:{number}: expected 'READER | F or M | ...', found {line!r}")
        genders[fields[0]] = fields[1].lower()
    return genders
