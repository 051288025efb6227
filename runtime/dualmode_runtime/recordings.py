"""Whole recordings, many of them: which ones are meant, and their transcripts in that order."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dualmode_runtime.audio.fault import AudioFault
from dualmode_runtime.audio.media import BY_FFMPEG, BY_SNDFILE, check_channel, one_channel, open_media
from dualmode_runtime.audio.pauses import SHORTEST_MS, Piece, pieces
from dualmode_runtime.audio.resample import Resampler, to_float
from dualmode_runtime.errors import UserError
from dualmode_runtime.lines import check_blanks, read_lines
from dualmode_runtime.tables import iterate_wav_scp
from dualmode_runtime.transcript import Result, joined

LISTS = (".txt", ".lst", ".list")
MAX_UTTERANCE_MS = 30_000.0
Recognise = Callable[[Sequence[Piece]], list[Result]]


@dataclass(frozen=True)
class Recording:
    """A file to transcribe, and its name in the output."""

    name: str
    path: Path

    @property
    def label(self) -> str:
        """What tables call it, without white space: the id of an utterance, or the file's name without its ending."""
        name = Path(self.name).stem if self.name == str(self.path) else self.name
        return "_".join(name.split())

    def __str__(self) -> str:
        """What messages call it: two lists may have one id for two files."""
        return self.name if self.name == str(self.path) else f"{self.name} ({self.path})"


def find_recordings(places: Iterable[str]) -> list[Recording]:
    """Return the recordings in files, folders and lists, in this order; one that is named twice is there twice.

    - a Kaldi folder (with ``wav.scp``), or a ``.scp`` file: its utterances, by their ids
    - another folder: the audio files in it and below, sorted by their names
    - a ``.txt``, ``.lst`` or ``.list`` file: one path a line, as seen from the working directory
    - what else there is: an audio file

    Raises:
        UserError: a place is not there or has no audio files, or a list is wrong.
    """
    found: list[Recording] = []
    for place in places:
        if not place:
            raise UserError("one of the names of audio is empty: '.' is the folder that you are in")
        path = Path(place)
        if path.is_dir() and (path / "wav.scp").is_file():
            path = path / "wav.scp"
        if path.is_dir():
            named = (file for file in path.rglob("*") if file.suffix.lower() in BY_SNDFILE | BY_FFMPEG)
            inside = sorted(file for file in named if not file.is_dir())
            if not inside:
                raise UserError(f"{path} has no audio files, by their names, such as .wav or .flac")
            found += [Recording(str(file), file) for file in inside]
        elif path.suffix.lower() == ".scp":
            found += [Recording(utt, Path(file)) for utt, file in iterate_wav_scp(path)]
        elif path.suffix.lower() in LISTS:
            found += [Recording(str(Path(line)), Path(line)) for line in read_list(path)]
        else:
            found.append(Recording(str(path), path))
    return found


def read_list(path: Path) -> list[str]:
    """Return the lines of a text file that are not blank; UserError if there are none or it is no text."""
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    paths = []
    for number, line in read_lines(path, complete=False):
        if line := line.strip(" \t"):
            check_blanks(line, f"{path}:{number}", path=True)
            paths.append(line)
    if not paths:
        raise UserError(f"{path} is empty: a list has one path a line")
    return paths


def recording_pieces(path: Path, channel: int | None, max_ms: float) -> Generator[Piece, None, None]:
    """Yield the pieces of a recording at 16 kHz, see :func:`dualmode_runtime.audio.pauses.pieces`.

    Args:
        path: the file.
        channel: counted from 1; None is the mean of all.
        max_ms: longest piece.

    Raises:
        AudioFault: the file is missing or damaged, or has no such channel.
    """
    with open_media(path) as media:
        check_channel(path, media.channels, channel)
        yield from pieces(resampled(map(one_channel(channel), media.blocks), media.rate), max_ms)


def resampled(blocks: Iterable[np.ndarray], rate: int) -> Iterator[np.ndarray]:
    """Yield blocks (samples,) of ``rate`` Hz at 16 kHz."""
    resampler = Resampler(rate, announce=False)
    for block in blocks:
        yield resampler.accept(block)
    yield resampler.accept(np.zeros(0, np.float32), final=True)


@dataclass
class _Slot:
    """A recording that is being transcribed."""

    recording: Recording
    results: list[Result | None] = field(default_factory=list)
    read: bool = False
    fault: AudioFault | None = None

    @property
    def complete(self) -> bool:
        return self.fault is not None or (self.read and None not in self.results)


def transcribe_all(
    recordings: Sequence[Recording],
    recognise: Recognise,
    channel: int | None = None,
    max_ms: float = MAX_UTTERANCE_MS,
    batch_size: int = 1,
    nbest: int = 1,
) -> Iterator[tuple[Recording, Result | AudioFault]]:
    """Yield each recording with its transcript, or with what is wrong with it, in their order, as soon as it is there.

    A few batches are read ahead, and pieces of like length recognised together: memory does not grow with the number
    and the length of the recordings.

    Args:
        recordings: what to transcribe.
        recognise: returns the result of each piece.
        channel, max_ms: see :func:`recording_pieces`.
        batch_size: pieces recognised together.
        nbest: entries of the n-best lists.
    """
    slots: deque[_Slot] = deque()
    waiting: list[tuple[Piece, _Slot, int]] = []

    def recognise_waiting() -> None:
        waiting.sort(key=lambda one: len(one[0].samples))
        for start in range(0, len(waiting), batch_size):
            batch = waiting[start : start + batch_size]
            for result, (_, slot, index) in zip(recognise([piece for piece, *_ in batch]), batch, strict=True):
                slot.results[index] = result
        waiting.clear()

    def finished() -> Iterator[tuple[Recording, Result | AudioFault]]:
        while slots and slots[0].complete:
            slot = slots.popleft()
            yield slot.recording, slot.fault or joined(slot.results, nbest)

    for recording in recordings:
        slots.append(slot := _Slot(recording))
        try:
            for piece in recording_pieces(recording.path, channel, max_ms):
                waiting.append((piece, slot, len(slot.results)))
                slot.results.append(None)
                if len(waiting) == 4 * batch_size:
                    recognise_waiting()
                    yield from finished()
            slot.read = True
        except AudioFault as fault:
            slot.fault = fault
            waiting[:] = [one for one in waiting if one[1] is not slot]
        yield from finished()
    recognise_waiting()
    yield from finished()


def transcribe_one(
    audio: str | os.PathLike | np.ndarray,
    recognise: Recognise,
    rate: int | None = None,
    channel: int | None = None,
    max_ms: float = MAX_UTTERANCE_MS,
    nbest: int = 1,
) -> Result:
    """Return the transcript of one whole recording, recognised piece by piece.

    Args:
        audio: a file, or samples (samples,): floats in [-1, 1] or 16-bit integers.
        recognise: returns the result of each piece.
        rate: of samples, Hz; files say theirs.
        channel, max_ms: see :func:`recording_pieces`; samples have one channel.
        nbest: entries of the n-best list.

    Raises:
        UserError: the file cannot be used, or samples, rate, channel or ``max_ms`` are impossible.
    """
    if not max_ms >= SHORTEST_MS:
        raise UserError(f"max_utterance_ms is {max_ms}: it must be at least {SHORTEST_MS}")
    if isinstance(audio, (str, os.PathLike)):
        recording = Recording(os.fspath(audio), Path(audio))
        [(_, found)] = transcribe_all([recording], recognise, channel, max_ms, nbest=nbest)
        if isinstance(found, AudioFault):
            raise UserError(found.detail)
        return found
    if rate is None:
        raise UserError("transcribe needs the sample rate of samples: transcribe(samples, 16000)")
    if channel not in (None, 1):
        raise UserError(f"samples have one channel, and no channel {channel}: give (samples,) of the one to hear")
    parts = pieces(resampled([to_float(audio)], rate), max_ms)
    return joined([recognise([piece])[0] for piece in parts], nbest)
