"""From a validated Kaldi folder to a folder of features that training and decoding read.

dump/train/feats.ark, feats.scp      (frames, 80) float32 matrices of kaldiio, not compressed
dump/train/text, utt2spk, spk2utt    as in the data folder, with the speed-perturbed copies
dump/train/utt2num_frames            frames of 10 ms
dump/train/speech_shape              "utt frames,80", for ESPnet's batch samplers
dump/train/rejected.tsv              utterances left out here, with the reason
dump/train/warned.tsv                utterances kept although the recogniser cannot get them right (test sets)
"""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import kaldiio

from dualmode.data.audio import AudioFault, read_audio
from dualmode.data.fbank import BINS, SAMPLE_RATE, fbank
from dualmode.data.folder import atomic_folder
from dualmode.data.kaldi_dir import KaldiDir, c_order, invert, write_table
from dualmode.data.parallel import blocks, parallel_blocks
from dualmode.data.rejection import Reason, Rejection, stop_if_too_many, write_rejections
from dualmode.data.speed import change_speed, prefix
from dualmode.data.tokens import Tokenizer
from dualmode.data.transcript_length import frames_needed
from dualmode.encoder.frames import subsampled
from dualmode.errors import UserError

_BLOCK = 100  # utterances a process works on at a time; the result does not depend on it


@dataclass(frozen=True)
class Task:
    """One utterance to make features of; ``needed`` is the number of encoder frames its transcript needs."""

    utt: str
    path: str
    speed: float
    needed: int = 1


@dataclass(frozen=True)
class Part:
    """What a block of tasks became: matrices in ``ark``, (utt, byte offset of the matrix, frames) for each."""

    ark: Path
    entries: tuple[tuple[str, int, int], ...]
    rejected: tuple[Rejection, ...]


@dataclass(frozen=True)
class Result:
    """What was made: of ``total`` utterances ``rejected`` were left out and ``warned`` were kept with a warning."""

    total: int
    frames: int
    rejected: tuple[Rejection, ...]
    warned: tuple[Rejection, ...]


@dataclass(frozen=True)
class Checks:
    """What an utterance's transcript must keep to.

    Attributes:
        tokenizer: None: transcripts are not looked at.
        keep: for test sets: keep the utterances that fail and list them in warned.tsv, since leaving out what the
            recogniser cannot get right would flatter its error rate.  Rejected is then only what has no encoder frame.
        max_rejected: stop when more than this share is rejected, in percent.
    """

    tokenizer: Tokenizer | None = None
    keep: bool = False
    max_rejected: float = 100.0


def make_fbank(
    folder: KaldiDir,
    out: str | os.PathLike,
    speeds: Sequence[float] = (1.0,),
    checks: Checks | None = None,
    skip: frozenset[str] = frozenset(),
    jobs: int = 1,
) -> Result:
    """Write the feature folder ``out``; its bytes do not depend on ``jobs``.

    Args:
        folder: the data; ``text`` may be None (unlabelled speech).
        speeds: a copy of the set for each factor.
        skip: utterances that validation rejected.

    Raises:
        UserError: an utterance outside ``skip`` lacks audio, text or speaker, or too many are rejected; then ``out`` is
            left as it was and the list of the rejected is OUT.rejected.tsv beside it.
    """
    out, checks = Path(out), checks or Checks()
    utterances = [utt for utt in folder.utterances() if utt not in skip]
    _check_complete(folder, utterances)
    copies = {prefix(speed) + utt: (utt, speed) for speed in speeds for utt in utterances}
    copies = dict(sorted(copies.items(), key=lambda item: c_order(item[0])))
    unseen = _spread(_unseen(folder, utterances, checks.tokenizer), copies)
    needed = _frames_needed(folder, utterances, checks.tokenizer)
    left_out = {} if checks.keep else unseen
    _stop_if_too_many(list(left_out.values()), len(copies), checks, out)  # before hours of work, not after
    tasks = [
        Task(name, folder.wav_scp[utt], speed, 1 if checks.keep else needed[utt])
        for name, (utt, speed) in copies.items()
        if name not in left_out
    ]
    with atomic_folder(out) as tmp:
        offsets, failed = _write_features(tasks, tmp, jobs, f"features of {folder.path}")
        rejections = [*left_out.values(), *failed]
        rejections.sort(key=lambda rejection: c_order(rejection.utt))
        _stop_if_too_many(rejections, len(copies), checks, out)
        frames = {utt: count for utt, (_, count) in offsets.items()}
        warned = _warnings(frames, unseen, {utt: needed[copies[utt][0]] for utt in frames}) if checks.keep else []
        ark = out.resolve() / "feats.ark"
        write_table(tmp / "feats.scp", {utt: f"{ark}:{offset}" for utt, (offset, _) in offsets.items()})
        write_table(tmp / "utt2num_frames", frames)
        write_table(tmp / "speech_shape", {utt: f"{count},{BINS}" for utt, count in frames.items()})
        utt2spk = {utt: prefix(copies[utt][1]) + folder.utt2spk[copies[utt][0]] for utt in frames}
        write_table(tmp / "utt2spk", utt2spk)
        write_table(tmp / "spk2utt", invert(utt2spk))
        if folder.text is not None:
            write_table(tmp / "text", {utt: folder.text[copies[utt][0]] for utt in frames})
        write_rejections(tmp / "rejected.tsv", rejections)
        write_rejections(tmp / "warned.tsv", warned)
    _list_beside(out).unlink(missing_ok=True)
    return Result(len(copies), sum(frames.values()), tuple(rejections), tuple(warned))


def _list_beside(out: Path) -> Path:
    return out.with_name(f"{out.name}.rejected.tsv")


def _stop_if_too_many(rejections: Sequence[Rejection], total: int, checks: Checks, out: Path) -> None:
    try:
        stop_if_too_many(rejections, total, checks.max_rejected, _list_beside(out))
    except UserError:
        write_rejections(_list_beside(out), rejections)
        raise


def _spread(found: Sequence[Rejection], copies: Mapping[str, tuple[str, float]]) -> dict[str, Rejection]:
    """Return what was found for utterances, for each of their copies."""
    by_utt = {rejection.utt: rejection for rejection in found}
    return {name: replace(by_utt[utt], utt=name) for name, (utt, _) in copies.items() if utt in by_utt}


def _warnings(frames: Mapping[str, int], unseen: Mapping[str, Rejection], needed: Mapping[str, int]) -> list[Rejection]:
    """Return a warning for each kept utterance whose transcript cannot be spelt, in the order of ``frames``."""
    warned = []
    for utt, count in frames.items():
        if utt in unseen:
            warned.append(unseen[utt])
        elif subsampled(count) < needed[utt]:
            warned.append(Rejection(utt, Reason.SHORT_FOR_TEXT, _short_detail(count, needed[utt])))
    return warned


def _check_complete(folder: KaldiDir, utterances: Sequence[str]) -> None:
    tables = {"wav.scp": folder.wav_scp, "utt2spk": folder.utt2spk}
    if folder.text is not None:
        tables["text"] = folder.text
    for utt in utterances:
        for name, table in tables.items():
            if not table.get(utt):
                raise UserError(
                    f"the utterance {utt} has no entry in {folder.path}/{name}: "
                    f"run python -m dualmode.bin.validate_data {folder.path} first"
                )


def _unseen(folder: KaldiDir, utterances: Sequence[str], tokenizer: Tokenizer | None) -> list[Rejection]:
    if tokenizer is None or folder.text is None:
        return []
    found = ((utt, tokenizer.unseen(folder.text[utt])) for utt in utterances)
    return [Rejection(utt, Reason.UNSEEN_TOKEN, " ".join(unseen)) for utt, unseen in found if unseen]


def _frames_needed(folder: KaldiDir, utterances: Sequence[str], tokenizer: Tokenizer | None) -> dict[str, int]:
    if tokenizer is None or folder.text is None:
        return dict.fromkeys(utterances, 1)
    return {utt: max(frames_needed(tokenizer.encode(folder.text[utt])), 1) for utt in utterances}


def _short_detail(frames: int, needed: int) -> str:
    return f"{subsampled(frames)} encoder frames of 40 ms, the transcript needs {needed}"


def _write_features(
    tasks: Sequence[Task], folder: Path, jobs: int, label: str
) -> tuple[dict[str, tuple[int, int]], list[Rejection]]:
    """Write feats.ark; return utterance to (byte offset, frames), and what was rejected."""
    offsets: dict[str, tuple[int, int]] = {}
    rejections: list[Rejection] = []
    work = blocks(tasks, _BLOCK)
    with open(folder / "feats.ark", "wb") as ark:
        for part in parallel_blocks(partial(_make_part, folder=folder), work, jobs, label):
            start = ark.tell()
            with open(part.ark, "rb") as source:
                shutil.copyfileobj(source, ark, 1 << 20)
            part.ark.unlink()
            offsets.update((utt, (start + offset, frames)) for utt, offset, frames in part.entries)
            rejections += part.rejected
    return offsets, rejections


def _make_part(tasks: Sequence[Task], folder: Path) -> Part:
    entries, rejected = [], []
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as ark:
        for task in tasks:
            try:
                samples = read_audio(task.path, SAMPLE_RATE)
            except AudioFault as fault:
                rejected.append(Rejection(task.utt, fault.reason, fault.detail))
                continue
            features = fbank(change_speed(samples, task.speed, SAMPLE_RATE))
            if subsampled(len(features)) < task.needed:
                detail = _short_detail(len(features), task.needed)
                rejected.append(Rejection(task.utt, Reason.SHORT_FOR_TEXT, detail))
                continue
            # A matrix of an ark is found by the position after its id and the space that follows it.
            offset = ark.tell() + len(task.utt.encode("utf-8")) + 1
            kaldiio.save_ark(ark, {task.utt: features})
            entries.append((task.utt, offset, len(features)))
    return Part(Path(ark.name), tuple(entries), tuple(rejected))
