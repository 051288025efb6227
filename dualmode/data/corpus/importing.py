"""From corpora as people have them to the Kaldi folders of a recipe.

::

    sources --rows--> transcripts by a rule -> catalogue -> 16 kHz mono files -> sets by speaker -> data/<set>
                              |                                   |                                   report
                              +------------ rejected -------------+

Rows pass through one by one; what has to be sorted is in a database on disk (:mod:`dualmode.data.corpus.catalogue`), so
memory does not grow with the corpus.
"""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path

from dualmode.data.corpus.audio_files import Conversion, Cut, utterance_file
from dualmode.data.corpus.catalogue import Catalogue, Wanted
from dualmode.data.corpus.names import speaker_id, utterance_id
from dualmode.data.corpus.row import SET_NAMES, Row, is_set_name
from dualmode.data.corpus.split import take_share
from dualmode.data.corpus.text_rule import SAMPLE, TextRule, has_numbers
from dualmode.data.kaldi_dir import table_writers
from dualmode.data.parallel import blocks, parallel_blocks
from dualmode.data.rejection import Rejection, write_rejections
from dualmode.data.tokens import Tokenizer
from dualmode.errors import UserError
from dualmode.progress import progress
from dualmode_runtime.audio.fault import AudioFault, Reason
from dualmode_runtime.files import atomic_write

_BLOCK = 100
FILES = ("wav.scp", "utt2spk", "text", "utt2dur")
SOURCES = "recordings"


@dataclass(frozen=True)
class Plan:
    """What is done with every utterance.

    Attributes:
        rule: of transcripts.
        numbers: whether transcripts with numbers stay.
        tokenizer: of a model that the data is for: what its tokens cannot spell is rejected, but from test sets; None:
            any text goes.
        audio: where files go, and how long they may be.
        channel: of recordings with several, from 0, where the corpus names none; None: their mean.
    """

    rule: TextRule
    numbers: bool
    tokenizer: Tokenizer | None
    audio: Conversion
    channel: int | None = None


@dataclass
class Heard:
    """What was read, in sums; memory grows with the number of different characters only."""

    total: int = 0
    without_speaker: int = 0
    characters: Counter = field(default_factory=Counter)  # of those that are kept, by the rule
    uncovered: list[str] = field(default_factory=list)  # some of those that a token list does not cover, as they came


def read(rows: Iterable[Row], plan: Plan, catalogue: Catalogue, heard: Heard) -> None:
    """Put every row into the catalogue, with its transcript by the rule, or among the rejected."""
    for row in rows:
        heard.total += 1
        speaker = None if row.speaker is None else speaker_id(row.speaker)
        utt = utterance_id(row, speaker)
        try:
            text = _transcript(row, plan)
            unfit = _unfit(row, text, plan, heard)
            # As in stage 1: leaving out of a test what cannot be recognised without error would flatter the result.
            if unfit and row.part in (None, "train", "valid"):
                raise unfit
        except AudioFault as fault:
            catalogue.reject(Rejection(utt, fault.reason, f"{row.where}: {fault.detail}"))
            continue
        heard.without_speaker += speaker is None
        heard.characters.update(text.replace(" ", ""))
        cut = Cut(str(row.audio), row.start, row.seconds, plan.channel if row.channel is None else row.channel)
        kept = catalogue.add(Wanted(utt, row.part or "train", speaker, text, cut), row.where)
        if kept and unfit:
            catalogue.warn(Rejection(kept, unfit.reason, f"{row.where}: {unfit.detail}"))


def _transcript(row: Row, plan: Plan) -> str:
    """Return the transcript by the rule, which may be empty; one that cannot be used is an AudioFault."""
    if row.fault is not None:
        raise AudioFault(Reason.UNUSABLE, row.fault)
    if row.part is not None and not is_set_name(row.part):
        raise AudioFault(Reason.UNUSABLE, f"its set is {row.part!r}, which is no name of one: {SET_NAMES}")
    if row.text is None:
        raise AudioFault(Reason.NO_TEXT, "there is no transcript")
    text = plan.rule.apply(row.text)
    if not plan.numbers and has_numbers(text):
        raise AudioFault(Reason.NUMBERS, text)
    return text


def _unfit(row: Row, text: str, plan: Plan, heard: Heard) -> AudioFault | None:
    """Return why nothing can be learned from a transcript, or no model that it is for gets it right; else None."""
    if not text:
        return AudioFault(Reason.NO_TEXT, f"the transcript is {row.text!r}")
    if plan.tokenizer is not None and (unseen := plan.tokenizer.unseen(text)):
        if len(heard.uncovered) < SAMPLE:
            heard.uncovered.append(row.text or "")
        return AudioFault(Reason.UNSEEN_TOKEN, " ".join(unseen))
    return None


def check_rejected(catalogue: Catalogue, total: int, max_percent: float, advice: str, listed_in: Path) -> None:
    """Write the list of what is rejected; too many of them, or all, are a UserError that gives ``advice``."""
    reasons = catalogue.reasons()
    count = sum(reasons.values())
    write_rejections(listed_in, catalogue.rejections())
    if total == 0:
        raise UserError("there is no utterance in what is to be imported")
    if 100 * count <= max_percent * total and count < total:
        return
    first = "; ".join(f"{r.utt}: {r.reason.value} ({r.detail})" for r in islice(catalogue.rejections(), 3))
    summary = ", ".join(f"{number} {reason}" for reason, number in reasons.items())
    raise UserError(
        f"{count} of {total} utterances ({100 * count / total:.1f} %) are rejected, more than the {max_percent:g} % "
        f"allowed: {summary}; those found so far are listed in {listed_in}, the first are {first}; "
        + (advice or "repair the corpus or raise --max-rejected")
    )


def check_words(catalogue: Catalogue) -> None:
    """Raise UserError for a set without a word: its transcripts were kept back, and nothing can be scored with it."""
    if mute := catalogue.wordless_parts():
        raise UserError(
            f"{mute[0]} has no words in any transcript, so nothing can be scored with it: leave it out, or put its "
            "transcripts in"
        )


def write_renamed(catalogue: Catalogue, path: Path) -> None:
    """Write ``utt<TAB>renamed<TAB>where`` lines under a header: which utterance of the corpus has which id here."""
    with atomic_write(path) as out:
        out.write("utt\trenamed\twhere\n")
        for one in catalogue.renamed():
            out.write(f"{one.utt}\t{one.other}\t{' '.join(one.where.split())}\n")


def make_audio(catalogue: Catalogue, how: Conversion, jobs: int) -> None:
    """Make the file of every utterance that is wanted, or find that it is there."""
    convert = partial(_convert_block, how=how)
    work = blocks(catalogue.wanted(), _BLOCK)
    for block in parallel_blocks(convert, work, jobs, "preparing audio", catalogue.wanted_count()):
        for wanted, made in block:
            if isinstance(made, AudioFault):
                catalogue.reject(Rejection(wanted.utt, made.reason, made.detail))
            else:
                path, seconds, behind = made
                catalogue.made(wanted, path, seconds)
                if behind and not wanted.cut.start:
                    catalogue.leaves(wanted.cut.audio, behind)
    catalogue.index()


def _convert_block(
    block: Sequence[Wanted], how: Conversion
) -> list[tuple[Wanted, tuple[str, float, float] | AudioFault]]:
    made: list[tuple[Wanted, tuple[str, float, float] | AudioFault]] = []
    for wanted in block:
        try:
            made.append((wanted, utterance_file(wanted.utt, wanted.cut, how)))
        except AudioFault as fault:
            made.append((wanted, fault))
    return made


def sets_to_split_off(shares: dict[str, float], there: Collection[str]) -> list[str]:
    """Return those sets of ``shares`` that are not there; without a set train to take them from, UserError."""
    wanted = [name for name, share in shares.items() if share and name not in there]
    if wanted and "train" not in there:
        raise UserError(
            f"there is no set train to split {' and '.join(wanted)} off; the corpus has {', '.join(sorted(there))}: "
            "name one (train=...) or leave the others away (--valid-share 0 --test-share 0)"
        )
    return wanted


def split_off(catalogue: Catalogue, shares: dict[str, float], seed: int, by_speaker: bool) -> list[str]:
    """Move a share of the set train into each set of ``shares`` that the corpus does not have.

    Args:
        shares: by the set's name, of the seconds of train; 0 leaves it away.
        by_speaker: else utterances are drawn, and a voice may be in several sets.

    Returns:
        the sets that were made.

    Raises:
        UserError: there is no set train, or there are too few speakers, or utterances.
    """
    wanted = sets_to_split_off(shares, catalogue.parts())
    if not wanted:
        return []
    size = catalogue.size("train")
    count, what = (size.speakers, "speakers") if by_speaker else (size.utterances, "utterances")
    if count <= len(wanted):
        or_else = "draw utterances instead (--split-by utterance), " if by_speaker else ""
        raise UserError(
            f"train has {count} {what}, too few to split {' and '.join(wanted)} off by: {or_else}name these sets "
            "(valid=..., test=...) or leave one away (--test-share 0)"
        )
    for name in wanted:
        seconds = 3600 * shares[name] * size.hours
        catalogue.move("train", name, take_share(catalogue.drawn("train", seed, by_speaker), seconds), by_speaker)
    return wanted


def check_sources_apart(sources: Iterable[Path], data: Path) -> None:
    """Raise UserError if a source is a Kaldi folder where a set may be written: what is made of it would replace it."""
    places = {data.resolve(), *(path.resolve() for path in data.glob("*"))}  # a set may be a link to a folder elsewhere
    for path in sources:
        if (path / "wav.scp").is_file() and path.resolve() in places:
            raise UserError(
                f"{path} is in {data}, where the sets that are made of it are written: move it out of there, or name "
                "another work folder (--out; of a recipe, --work-dir)"
            )


def check_sets(parts: Iterable[str], data: Path) -> None:
    """Raise UserError if a set would be written to a folder with segments, which would then be of other audio."""
    for part in parts:
        if (data / part / "segments").exists():
            raise UserError(
                f"{data / part} has segments, so it was not made by an import: move it, or name another work folder"
            )


def write_sets(catalogue: Catalogue, data: Path) -> None:
    """Write ``data``/<set> for every set, each list whole or not at all.

    Beside Kaldi's lists is :data:`SOURCES`, a path a line: recordings that are cut or converted are not in wav.scp, and
    a recipe tells of those that were written since.
    """
    for part in catalogue.parts():
        with table_writers(data / part, (*FILES, "spk2utt")) as out:
            for utt, speaker, text, path, seconds in progress(catalogue.rows(part), f"writing {data / part}"):
                for name, value in zip(FILES, (path, speaker, text, f"{seconds:.6f}"), strict=True):
                    out[name].write(f"{utt} {value}".rstrip(" ") + "\n")
            for speaker, group in groupby(catalogue.by_speaker(part), key=itemgetter(0)):
                out["spk2utt"].write(speaker)
                out["spk2utt"].writelines(f" {utt}" for _, utt in group)
                out["spk2utt"].write("\n")
        with atomic_write(data / part / SOURCES) as listed:
            listed.writelines(f"{os.path.abspath(audio)}\n" for audio in catalogue.sources(part))
