"""From a validated Kaldi folder to a folder of features that training and decoding read.

dump/train/shards/00001.ark ...      (frames, 80) matrices of kaldiio, see :mod:`dualmode.data.feature_shard`
dump/train/shards.sha256             their checksums, for sha256sum -c in dump/train
dump/train/feats.scp                 where each utterance's matrix is
dump/train/text, utt2spk, spk2utt    as in the data folder, with the speed-perturbed copies
dump/train/utt2num_frames            frames of 10 ms
dump/train/speech_shape              "utt frames,80", for ESPnet's batch samplers
dump/train/rejected.tsv              utterances left out here, with the reason
dump/train/warned.tsv                utterances kept although the recogniser cannot get them right (test sets)

Shards are made in dump/.train.incomplete, by any number of processes or machines, and stay there when the work is
killed; the next run makes only what is missing.  Once all are there they are joined and the folder is renamed::

    utterances -> 00001 00002 00003 00004 00005 -> join -> dump/train
                  \\____ a part of the shards ___/
"""

import contextlib
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import merge
from pathlib import Path

from dualmode.cluster.parts import Part
from dualmode.data.corpus.text_rule import SAMPLE, offer
from dualmode.data.fbank import BINS
from dualmode.data.feature_shard import Entry, Made, Shard, Task, archive, make_shard, read_list
from dualmode.data.folder import Contents, incomplete, put_in_place, take_lock
from dualmode.data.kaldi_dir import KaldiDir, Utterance, table_writers, write_table
from dualmode.data.parallel import blocks, parallel_blocks
from dualmode.data.rejection import Rejection, stop_if_too_many, write_rejections
from dualmode.data.speed import prefix
from dualmode.data.tokens import Tokenizer
from dualmode.data.transcript_length import frames_needed, is_hurried
from dualmode.errors import UserError
from dualmode.frames import FEATURE_MS, subsampled
from dualmode.progress import format_bytes
from dualmode_runtime.audio.fault import Reason
from dualmode_runtime.files import atomic_write, remove_temporary
from dualmode_runtime.tables import c_order

# Utterances of a shard: some 40 minutes, 80 MB and half a minute of work for LibriSpeech.
_SHARD = 200
ALL = Part(1, 1)


@dataclass(frozen=True)
class Result:
    """What was made: of ``total`` utterances ``rejected`` were left out and ``warned`` were kept with a warning.

    ``hurried`` of those that were made have fewer than two frames of 40 ms a token.  ``advice`` names the text rule
    that would make transcripts fit the token list, where one does.
    """

    total: int
    frames: int
    rejected: tuple[Rejection, ...]
    warned: tuple[Rejection, ...]
    hurried: int
    advice: str = ""


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


LISTS = ("feats.scp", "text", "utt2spk", "spk2utt", "utt2num_frames", "speech_shape", "rejected.tsv", "warned.tsv")
CONTENTS = Contents("shards.sha256", (*LISTS, "shards", "shards.sha256"))


@dataclass(frozen=True)
class FeatureSet:
    """A feature folder to make.

    Attributes:
        folder: the data; unlabelled speech has no text.
        out: what is written.
        speeds: a copy of the set for each factor.
        checks: of transcripts.
        skip: utterances that validation rejected.
        value_bytes: of a feature on disk: 4 (float32), or 2 or 1 (compressed, see docs/scale.md).
    """

    folder: KaldiDir
    out: Path
    speeds: tuple[float, ...] = (1.0,)
    checks: Checks = Checks()
    skip: frozenset[str] = frozenset()
    value_bytes: int = 4

    @property
    def incomplete(self) -> Path:
        """Where the shards are made: beside the folder itself, where ``out`` is a link to one on another disk."""
        return incomplete(self.out.resolve())

    @property
    def lock(self) -> Path:
        """The file that says who writes there; it stays."""
        out = self.out.resolve()
        return out.with_name(f".{out.name}.lock")

    def utterances(self) -> Iterator[Utterance]:
        """Yield the utterances that are not skipped.

        Raises:
            UserError: one lacks audio, text or speaker.
        """
        for utterance in self.folder.utterances():
            if utterance.utt not in self.skip:
                _check_complete(utterance, self.folder)
                yield utterance


def make_fbank(features: FeatureSet, jobs: int = 1) -> Result:
    """Make all shards that are not done, and join them; the bytes do not depend on ``jobs``.

    Raises:
        UserError: an utterance outside ``skip`` lacks audio, text or speaker, or too many are rejected; then ``out`` is
            left as it was and the list of the rejected is OUT.rejected.tsv beside it.  Or another process makes a part
            of it, or the whole.
    """
    with _locked(features, shared=False):
        total, left_out, advice = _look_ahead(features)
        made = make_shards(features, left_out, jobs)
        return _join(features, [shard.fingerprint for shard in made], total, left_out, advice)


def make_part(features: FeatureSet, part: Part, jobs: int = 1) -> int:
    """Make the shards of one part that are not done, for :func:`make_fbank` to join; return how many were made.

    Parts may be made at the same time, on several machines.

    Raises:
        UserError: as :func:`make_fbank`; here another process that makes the whole is one too many.
    """
    with _locked(features, shared=True):
        _, left_out, _ = _look_ahead(features)
        return sum(shard.anew for shard in make_shards(features, left_out, jobs, part))


@contextlib.contextmanager
def _locked(features: FeatureSet, shared: bool) -> Iterator[None]:
    """Keep other processes from making the same folder; shared, only those that do not share it: they join it.

    Raises:
        UserError: another process makes it.
    """
    CONTENTS.check_replaceable(features.out.resolve())
    features.lock.parent.mkdir(parents=True, exist_ok=True)
    with open(features.lock, "a+b") as file:
        try:
            if not take_lock(file, shared):
                print(
                    f"warning: {features.lock} is on a disk without locks: let no second make-fbank write "
                    f"{features.out}",
                    file=sys.stderr,
                )
        except BlockingIOError:
            raise UserError(
                f"another make-fbank is at work on {features.out}: wait for it, or name another --out; if its machine "
                f"has failed, remove {features.lock}"
            ) from None
        yield


def make_shards(features: FeatureSet, left_out: Iterable[Rejection], jobs: int, part: Part = ALL) -> list[Made]:
    """Make the shards of ``part`` that are not done; return all of them, in order."""
    folder = features.incomplete / "shards"
    work = (shard for shard in _shards(features, left_out) if shard.number % part.count == part.index % part.count)
    label = f"features of {features.folder.path}"
    return list(parallel_blocks(partial(make_shard, folder=folder), work, jobs, label, features.folder.size()))


def _look_ahead(features: FeatureSet) -> tuple[int, list[Rejection], str]:
    """Return the number of utterances and those whose transcripts rule them out: before hours of work, not after.

    The last one is the advice of :class:`Result`.
    """
    total, seconds, left_out = 0, 0.0, []
    uncovered: list[str] = []
    for total, utterance in enumerate(features.utterances(), start=1):  # noqa: B007
        seconds += utterance.seconds or 0.0
        if made := next((p for p in map(prefix, features.speeds) if p and utterance.utt.startswith(p)), None):
            raise UserError(
                f"{features.folder.path}: the utterance {utterance.utt} begins as copies at another speed do ({made}): "
                "give it another name, or take this factor out of --speeds"
            )
        if utterance.text == "" and not features.checks.keep:
            left_out.append(Rejection(utterance.utt, Reason.NO_TEXT, f"no words in {features.folder.path}/text"))
        unseen = _unseen(utterance, features.checks.tokenizer)
        if unseen and len(uncovered) < SAMPLE:
            uncovered.append(utterance.text or "")
        if unseen and not features.checks.keep:
            left_out.append(Rejection(utterance.utt, Reason.UNSEEN_TOKEN, unseen))
    advice = offer(uncovered, features.checks.tokenizer.unseen) if features.checks.tokenizer else ""
    if uncovered and not advice and features.checks.tokenizer.kind == "word":
        advice = "these are words that the token list has not: tokens of type bpe or char spell any (--token-type)"
    _stop_if_too_many(left_out, total, features, advice)
    _check_space(features, seconds)
    return total, left_out, advice


def _check_space(features: FeatureSet, seconds: float) -> None:
    """Raise UserError if the disk has no room for the features of so many seconds, as far as they are not there yet."""
    shards = features.incomplete / "shards"
    shards.mkdir(parents=True, exist_ok=True)
    there = sum(path.stat().st_size for path in shards.glob("*.ark"))
    needed = sum(seconds / speed for speed in features.speeds) * 1000 / FEATURE_MS * BINS * features.value_bytes - there
    free = shutil.disk_usage(shards).free
    if free < needed:
        raise UserError(
            f"{features.out} needs {format_bytes(needed)} of disk space, there are {format_bytes(free)}: free some, "
            "use another folder, fewer --speeds or fewer --value-bytes"
        )


def _shards(features: FeatureSet, left_out: Iterable[Rejection]) -> Iterator[Shard]:
    names = {rejection.utt for rejection in left_out}
    tasks = (_task(utterance, features.checks) for utterance in features.utterances() if utterance.utt not in names)
    for number, block in enumerate(blocks(tasks, _SHARD), start=1):
        yield Shard(number, tuple(block), features.speeds, features.checks.keep, features.value_bytes)


def _task(utterance: Utterance, checks: Checks) -> Task:
    needed = 1
    if checks.tokenizer and utterance.text:
        needed = max(frames_needed(checks.tokenizer.encode(utterance.text)), 1)
    unseen = _unseen(utterance, checks.tokenizer)
    return Task(utterance.utt, utterance.audio, utterance.speaker, utterance.text or "", needed, unseen)


def _join(
    features: FeatureSet, made_from: Sequence[str], total: int, left_out: Sequence[Rejection], advice: str
) -> Result:
    """Write the lists of all shards, whose fingerprints are ``made_from``, and give the folder its name."""
    folder, out = features.incomplete, features.out.resolve()
    rejected = [Rejection(prefix(s) + r.utt, r.reason, r.detail) for s in features.speeds for r in left_out]
    warned: list[Rejection] = []
    with atomic_write(folder / "shards.sha256") as sums:
        for number, fingerprint in enumerate(made_from, start=1):
            shard = read_list(folder / "shards", number, fingerprint)
            rejected += shard.rejected
            warned += shard.warned
            sums.write(f"{shard.sha256}  shards/{archive(folder, number).name}\n")
    for found in (rejected, warned):
        found.sort(key=lambda rejection: c_order(rejection.utt))
    _stop_if_too_many(rejected, total * len(features.speeds), features, advice)
    frames, hurried = _write_lists(features, made_from)
    write_rejections(folder / "rejected.tsv", rejected)
    write_rejections(folder / "warned.tsv", warned)
    _remove_strangers(folder / "shards", len(made_from))
    for name in CONTENTS.names:  # a stranger in the folder would keep it from ever being replaced
        remove_temporary(folder / name)
    CONTENTS.check_replaceable(out)
    put_in_place(folder, out)
    _list_beside(out).unlink(missing_ok=True)
    return Result(total * len(features.speeds), frames, tuple(rejected), tuple(warned), hurried, advice)


def _write_lists(features: FeatureSet, made_from: Sequence[str]) -> tuple[int, int]:
    """Write all tables, row by row; return the number of frames, and of hurried utterances."""
    folder, out, frames, hurried = features.incomplete, features.out.resolve(), 0, 0
    tokenizer = features.checks.tokenizer
    names = ["feats.scp", "utt2num_frames", "speech_shape", "utt2spk", *(["text"] if features.folder.with_text else [])]
    speakers: dict[str, list[str]] = {}
    # The copies of one speed are in order already.
    rows = merge(
        *(_entries(features, speed, made_from) for speed in features.speeds), key=lambda row: c_order(row[1].utt)
    )
    with table_writers(folder, names) as tables:
        for number, entry in rows:
            frames += entry.frames
            hurried += tokenizer is not None and is_hurried(tokenizer.encode(entry.text), subsampled(entry.frames))
            speakers.setdefault(entry.speaker, []).append(entry.utt)
            values = {
                "feats.scp": f"{archive(out / 'shards', number)}:{entry.offset}",
                "utt2num_frames": entry.frames,
                "speech_shape": f"{entry.frames},{BINS}",
                "utt2spk": entry.speaker,
                "text": entry.text,
            }
            for name, table in tables.items():
                table.write(f"{entry.utt} {values[name]}".rstrip(" ") + "\n")
    write_table(folder / "spk2utt", {speaker: " ".join(utts) for speaker, utts in speakers.items()})
    return frames, hurried


def _entries(features: FeatureSet, speed: float, made_from: Sequence[str]) -> Iterator[tuple[int, Entry]]:
    """Yield (shard, entry) of every copy of one speed."""
    for number, fingerprint in enumerate(made_from, start=1):
        for entry in read_list(features.incomplete / "shards", number, fingerprint).entries:
            if entry.speed == speed:
                yield number, entry


def _remove_strangers(folder: Path, count: int) -> None:
    """Remove shards of a longer list, and what killed processes left."""
    ours = {archive(folder, number).stem for number in range(1, count + 1)}
    for path in folder.iterdir():
        if path.stem not in ours:
            path.unlink()


def _list_beside(out: Path) -> Path:
    return out.with_name(f"{out.name}.rejected.tsv")


def _stop_if_too_many(rejections: Sequence[Rejection], total: int, features: FeatureSet, advice: str) -> None:
    beside = _list_beside(features.out)
    try:
        stop_if_too_many(rejections, total, features.checks.max_rejected, beside, advice)
    except UserError:
        write_rejections(beside, rejections)
        raise


def _check_complete(utterance: Utterance, folder: KaldiDir) -> None:
    wanted = {"wav.scp": utterance.audio, "utt2spk": utterance.speaker}
    if folder.with_text:
        wanted["text"] = utterance.text
    for name, value in wanted.items():
        if value is None or not (value or name == "text"):
            raise UserError(
                f"the utterance {utterance.utt} has no entry in {folder.path}/{name}: "
                f"run dualmode validate-data {folder.path} first"
            )


def _unseen(utterance: Utterance, tokenizer: Tokenizer | None) -> str:
    """Return the characters of the transcript that the token list lacks, with spaces between them."""
    return " ".join(tokenizer.unseen(utterance.text)) if tokenizer and utterance.text else ""
