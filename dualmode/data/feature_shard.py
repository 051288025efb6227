"""A shard: the features of some consecutive utterances of a set, made in one go and never again.

shards/00007.ark     (frames, 80) matrices of kaldiio: float32, or Kaldi's compressed ones
shards/00007.json    written after it: what the archive holds, its size and checksum, and what it was made from

A shard whose list says that it was made from the same, and whose archive has its size, is done.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import kaldiio

from dualmode.data.fbank import fbank
from dualmode.data.rejection import Rejection
from dualmode.data.speed import change_speed, prefix
from dualmode.errors import UserError
from dualmode.frames import SAMPLE_RATE, subsampled
from dualmode_runtime.audio.fault import AudioFault, Reason
from dualmode_runtime.audio.reading import read_audio
from dualmode_runtime.files import atomic_path, sha256_of, write_json

# Kaldi's compressed matrices by their bytes a value: 65536 steps between a matrix's least and largest value, or 256 of
# unequal size between quantiles of each bin; docs/scale.md has what they cost.
COMPRESSION = {4: None, 2: 3, 1: 2}
FORMAT = 1  # of the lists and of the features; another number makes all shards anew


@dataclass(frozen=True)
class Task:
    """One utterance to make features of.

    Attributes:
        text: transcript; "" for unlabelled speech.
        needed: encoder frames of 40 ms that its transcript needs.
        unseen: characters of its transcript that the token list lacks.
    """

    utt: str
    audio: str
    speaker: str
    text: str
    needed: int = 1
    unseen: str = ""


@dataclass(frozen=True)
class Shard:
    """What a shard is made from.

    Attributes:
        number: from 1.
        speeds: a copy of each utterance for each factor.
        keep: utterances that the recogniser cannot get right are kept and warned of; else they are rejected.
        value_bytes: of a feature on disk, one of COMPRESSION.
    """

    number: int
    tasks: tuple[Task, ...]
    speeds: tuple[float, ...]
    keep: bool
    value_bytes: int = 4

    def __len__(self) -> int:
        return len(self.tasks)

    def fingerprint(self) -> str:
        """Return a digest of all that the features depend on, size and time of the audio files among it."""
        made_from = [FORMAT, self.speeds, self.keep, [[asdict(task), _stamp(task.audio)] for task in self.tasks]]
        if self.value_bytes != 4:
            made_from.append(self.value_bytes)
        return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()


@dataclass(frozen=True)
class Entry:
    """One utterance of a shard: its matrix begins at byte ``offset`` of the archive and has ``frames`` of 10 ms."""

    utt: str
    speed: float
    speaker: str
    text: str
    offset: int
    frames: int


@dataclass(frozen=True)
class ShardList:
    """What a shard holds, utterance by utterance with all its speeds, and what it lacks or warns of."""

    entries: tuple[Entry, ...]
    rejected: tuple[Rejection, ...]
    warned: tuple[Rejection, ...]
    sha256: str


@dataclass(frozen=True)
class Made:
    """A shard that is done: of what it was made (:meth:`Shard.fingerprint`), and whether that was now."""

    fingerprint: str
    anew: bool


def archive(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.ark"


def make_shard(shard: Shard, folder: Path) -> Made:
    """Make a shard in ``folder`` unless it is done."""
    ark = archive(folder, shard.number)
    fingerprint = shard.fingerprint()
    if _is_done(ark, fingerprint):
        return Made(fingerprint, anew=False)
    entries: list[Entry] = []
    rejected: list[Rejection] = []
    warned: list[Rejection] = []
    with atomic_path(ark) as tmp:
        with open(tmp, "wb") as file:
            for task in shard.tasks:
                try:
                    samples = read_audio(task.audio, SAMPLE_RATE)
                except AudioFault as fault:
                    rejected += [Rejection(prefix(s) + task.utt, fault.reason, fault.detail) for s in shard.speeds]
                    continue
                for speed in shard.speeds:
                    name = prefix(speed) + task.utt
                    features = fbank(change_speed(samples, speed, SAMPLE_RATE))
                    unfit = _fault(name, task, len(features))
                    if unfit and not (shard.keep and subsampled(len(features))):
                        rejected.append(unfit)
                        continue
                    warned += [unfit] if unfit else []
                    # A matrix of an ark is found by the position after its id and the space that follows it.
                    offset = file.tell() + len(name.encode("utf-8")) + 1
                    kaldiio.save_ark(file, {name: features}, compression_method=COMPRESSION[shard.value_bytes])
                    speaker = prefix(speed) + task.speaker
                    entries.append(Entry(name, speed, speaker, task.text, offset, len(features)))
        sha256, size = sha256_of(tmp), tmp.stat().st_size
    value = {
        "fingerprint": fingerprint,
        "bytes": size,
        "sha256": sha256,
        "entries": [list(asdict(entry).values()) for entry in entries],
        "rejected": [_row(rejection) for rejection in rejected],
        "warned": [_row(rejection) for rejection in warned],
    }
    write_json(ark.with_suffix(".json"), value)
    return Made(fingerprint, anew=True)


def read_list(folder: Path, number: int, fingerprint: str) -> ShardList:
    """Read the list of a shard that is done.

    Raises:
        UserError: by now it is made from something else.
    """
    path = archive(folder, number).with_suffix(".json")
    value = json.loads(path.read_text(encoding="utf-8"))
    if value["fingerprint"] != fingerprint:
        raise UserError(
            f"{path} was made anew, from other data, while its set was made: let one make-fbank at a time write there, "
            "and run this one again"
        )
    return ShardList(
        tuple(Entry(*entry) for entry in value["entries"]),
        _rejections(value["rejected"]),
        _rejections(value["warned"]),
        value["sha256"],
    )


def _fault(name: str, task: Task, frames: int) -> Rejection | None:
    """Return why the recogniser cannot get the utterance right, or None."""
    if task.unseen and subsampled(frames):
        return Rejection(name, Reason.UNSEEN_TOKEN, task.unseen)
    if subsampled(frames) < task.needed:
        detail = f"{subsampled(frames)} encoder frames of 40 ms, the transcript needs {task.needed}"
        return Rejection(name, Reason.SHORT_FOR_TEXT, detail)
    return None


def _is_done(ark: Path, fingerprint: str) -> bool:
    try:
        value = json.loads(ark.with_suffix(".json").read_text(encoding="utf-8"))
        return value["fingerprint"] == fingerprint and value["bytes"] == ark.stat().st_size
    except (FileNotFoundError, ValueError):
        return False


def _stamp(path: str) -> list[int] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]


def _row(rejection: Rejection) -> list[str]:
    return [rejection.utt, rejection.reason.value, rejection.detail]


def _rejections(rows: Sequence[Sequence[str]]) -> tuple[Rejection, ...]:
    return tuple(Rejection(utt, Reason(reason), detail) for utt, reason, detail in rows)
