"""Word errors of each speaker: what is drawn again by :mod:`dualmode.results.bootstrap`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dualmode.errors import UserError
from dualmode.results.compare import Column
from dualmode.results.decodes import read_meta, searched
from dualmode.results.score import utterance_errors
from dualmode.results.subsets import NAME, read_subsets
from dualmode.results.table import heard
from dualmode.results.text import Transcripts, read_text


@dataclass(frozen=True)
class SpeakerErrors:
    """Errors of one row in one column: a sub-network on a set, trained with several seeds.

    Attributes:
        words: (speakers,), of the reference.
        errors: (seeds, speakers).
        seeds: of the trainings, in the order of ``errors``.
        speakers: in the order of both.
    """

    words: np.ndarray
    errors: np.ndarray
    seeds: tuple[int, ...]
    speakers: tuple[str, ...]

    def of(self, seeds: Collection[int]) -> "SpeakerErrors":
        """Return the runs of these seeds alone, in the order of the seeds."""
        chosen = sorted(set(self.seeds) & set(seeds))
        return SpeakerErrors(
            self.words, self.errors[[self.seeds.index(seed) for seed in chosen]], tuple(chosen), self.speakers
        )


@dataclass(frozen=True)
class References:
    """A test set: transcripts, speakers, and the utterances of its parts."""

    path: Path
    texts: Transcripts
    speakers: Mapping[str, str]
    parts: Mapping[str, Collection[str]]

    @classmethod
    def read(cls, folder: Path, parts: Path) -> "References":
        """Read ``folder``/text and utt2spk, and the file ``parts`` (utt2subsets), where it is there.

        Raises:
            UserError: a file is missing or damaged, or an utterance has no speaker.
        """
        texts = read_text(folder / "text")
        speakers = {utt: " ".join(words) for utt, words in read_text(folder / "utt2spk").items()}
        for utt in texts:
            if not speakers.get(utt):
                raise UserError(f"{folder / 'utt2spk'} has no speaker of {utt}, who is needed to draw speakers again")
        return cls(folder, texts, speakers, read_subsets(parts))

    def counts(self, hypotheses: Transcripts) -> dict[str, dict[str, tuple[int, int]]]:
        """Return errors and words of each speaker, of the whole set under "" and of each part under its name.

        Raises:
            UserError: nobody says a word.
        """
        found = utterance_errors(self.texts, hypotheses)
        sums = {"": self._by_speaker(found, found)} | {
            name: self._by_speaker(found, utterances & found.keys()) for name, utterances in self.parts.items()
        }
        for name, speakers in sums.items():
            if not any(words for _, words in speakers.values()):
                part = f", part {name}" if name else ""
                raise UserError(f"{self.path}{part}: nobody says a word, so there is no error rate")
        return sums

    def _by_speaker(self, found: Mapping, utterances: Collection[str]) -> dict[str, tuple[int, int]]:
        sums: dict[str, list[int]] = {}
        for utt in utterances:
            mine = sums.setdefault(self.speakers[utt], [0, 0])
            for place in (0, 1):
                mine[place] += found[utt][place]
        return {speaker: (sums[speaker][0], sums[speaker][1]) for speaker in sorted(sums)}


class Sets:
    """The test sets under a folder, each read once."""

    def __init__(self, data_dir: Path, subsets_dir: Path | None = None):
        self.data_dir, self.subsets_dir = data_dir, subsets_dir or data_dir
        self._read: dict[str, References] = {}

    def __getitem__(self, name: str) -> References:
        if name not in self._read:
            self._read[name] = References.read(self.data_dir / name, self.subsets_dir / name / NAME)
        return self._read[name]


def speaker_errors(folders: Sequence[Path], sets: Sets) -> dict[Column, SpeakerErrors]:
    """Return what the runs of one row got wrong, by columns; a part of a set is a set of its own, "test/child".

    Args:
        folders: of the runs, each with another seed; a column that some of them lack has the seeds of the others.
        sets: what they decoded.

    Raises:
        UserError: a run has no decoded set or no seed, or two have the same.
    """
    columns: dict[Column, dict[int, dict[str, tuple[int, int]]]] = {}
    owner: dict[int, Path] = {}
    for folder in folders:
        decodes = sorted(path for path in folder.glob("decode_*") if path.is_dir())
        if not decodes:
            raise UserError(f"{folder} has no decode_* folder; decode first (stage 5)")
        for decode in decodes:
            meta = read_meta(decode / "decode.json")
            seed = meta["seed"]
            if seed is None or owner.setdefault(seed, folder) != folder:
                other = "" if seed is None else f" that {owner[seed]} has, too"
                raise UserError(
                    f"{folder} has the seed {seed}{other}: runs of a row must differ in their seeds, which are "
                    "drawn again with the speakers"
                )
            where = heard({**meta, "search": searched(meta)})
            for part, counts in counts_of(decode, sets[meta["set"]]).items():
                name = f"{meta['set']}/{part}" if part else meta["set"]
                runs = columns.setdefault((name, meta["sparsity"], where), {})
                if seed in runs:
                    raise UserError(f"{folder} has {name} decoded twice by one sub-network; remove the stale folder")
                runs[seed] = counts
    return {column: stacked(runs) for column, runs in sorted(columns.items())}


def counts_of(decode: Path, references: References) -> dict[str, dict[str, tuple[int, int]]]:
    """Return :meth:`References.counts` of a decoding; what does not fit is a UserError that names it."""
    hypotheses = read_text(decode / "text")
    try:
        return references.counts(hypotheses)
    except UserError as error:
        raise UserError(f"{decode / 'text'} against {references.path / 'text'}: {error}") from None


def stacked(runs: Mapping[int, Mapping[str, tuple[int, int]]]) -> SpeakerErrors:
    """Return errors and words by seed and speaker as arrays; the speakers of all runs are the same."""
    seeds = tuple(sorted(runs))
    first = runs[seeds[0]]
    words = np.array([first[speaker][1] for speaker in first])
    errors = np.array([[runs[seed][speaker][0] for speaker in first] for seed in seeds])
    return SpeakerErrors(words, errors, seeds, tuple(first))
