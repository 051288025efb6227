"""Error rates and their differences with 95 % intervals: speakers and seeds drawn again, see :mod:`.bootstrap`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dualmode.errors import UserError
from dualmode.results.bootstrap import LEVEL, Resamples, interval, p_below, p_differs, rate, smallest_visible
from dualmode.results.compare import Column
from dualmode.results.decodes import Decode
from dualmode.results.speakers import Sets, SpeakerErrors, stacked
from dualmode.results.text import read_text

Interval = tuple[float, float]
USUAL = 10_000  # resamples


@dataclass(frozen=True)
class Estimate:
    """The WER of a row in a column, in percent; no interval where the set has one speaker."""

    wer: float
    interval: Interval | None
    seeds: tuple[int, ...]
    words: int
    speakers: int


@dataclass(frozen=True)
class Difference:
    """WER of a row minus that of another, in % absolute, over the seeds that both have.

    Attributes:
        value: the difference.
        interval, p, smallest: 95 %; the p of what was asked; the true difference that would be found in four cases of
            five.  None where the set has one speaker.
        seeds: that both have.
        speakers: of the set.
    """

    value: float
    interval: Interval | None
    p: float | None
    smallest: float | None
    seeds: tuple[int, ...]
    speakers: int


class Comparer:
    """Draws speakers and seeds again, the same for everything that is compared.

    Args:
        count: resamples.
        random_seed: of the draws.

    Raises:
        UserError: too few resamples for the bounds of a 95 % interval.
    """

    def __init__(self, count: int, random_seed: int = 0):
        if count < 1000:
            raise UserError(f"--bootstrap {count}: 95 % intervals need at least 1000 resamples; 10000 are usual")
        self.count, self.random_seed = count, random_seed

    def check_enough_for(self, comparisons: int) -> None:
        """Raise UserError if the least p of as many resamples, times as many comparisons, is not significant.

        The least p is 2 / (1 + resamples), of a difference that all resamples have, and Holm's correction multiplies
        the least one of all by their number.
        """
        if 2 * comparisons / (1 + self.count) >= 1 - LEVEL:
            enough = 1000 * math.ceil(round(2 * comparisons / (1 - LEVEL)) / 1000)
            raise UserError(
                f"--bootstrap {self.count}: of {comparisons} planned comparisons none could stand after Holm's "
                f"correction, however clear; give at least {enough}"
            )

    @cached_property
    def _drawn(self) -> dict[tuple[int, int], Resamples]:
        return {}

    def resamples(self, errors: SpeakerErrors) -> Resamples:
        """Return the draws for as many speakers and seeds; the same ones every time."""
        size = (len(errors.words), len(errors.seeds))
        if size not in self._drawn:
            self._drawn[size] = Resamples.draw(*size, self.count, self.random_seed)
        return self._drawn[size]

    def estimate(self, errors: SpeakerErrors) -> Estimate:
        """Return the WER of one row in one column."""
        bounds = None
        if len(errors.words) > 1:
            bounds = interval(self.resamples(errors).rates(errors.errors, errors.words))
        wer = rate(errors.errors, errors.words)
        return Estimate(wer, bounds, errors.seeds, int(errors.words.sum()), len(errors.words))

    def difference(self, row: SpeakerErrors, against: SpeakerErrors, bound: float | None = None) -> Difference | None:
        """Return the difference of two rows in one column, None where no seed is in both.

        Args:
            row, against: WER of the first minus that of the second.
            bound: what p is about: that the difference is not below it.  None: that there is none.

        Raises:
            UserError: the two were scored on other words.
        """
        if row.speakers != against.speakers or not np.array_equal(row.words, against.words):
            raise UserError("two rows were scored on different references: decode and score both on the same set")
        mine, other = row.of(against.seeds), against.of(row.seeds)
        if not mine.seeds:
            return None
        errors = mine.errors - other.errors
        value = rate(errors, mine.words)
        if len(mine.words) == 1:
            return Difference(value, None, None, None, mine.seeds, 1)
        values = self.resamples(mine).rates(errors, mine.words)
        p = p_differs(values) if bound is None else p_below(values, bound)
        return Difference(value, interval(values), p, smallest_visible(values), mine.seeds, len(mine.words))

    def estimates(self, rows: Mapping[str, Mapping[Column, SpeakerErrors]]) -> dict[str, dict[Column, Estimate]]:
        """Return the WER of every row in every column that it has."""
        return {name: {c: self.estimate(e) for c, e in columns.items()} for name, columns in rows.items()}

    def differences(
        self, rows: Mapping[str, Mapping[Column, SpeakerErrors]], against: str
    ) -> dict[str, dict[Column, Difference]]:
        """Return what sets every other row apart from the row ``against``, in the columns that both have."""
        base, found = rows[against], {}
        for name, columns in rows.items():
            if name != against:
                both = {c: self.difference(e, base[c]) for c, e in columns.items() if c in base}
                found[name] = {c: difference for c, difference in both.items() if difference is not None}
        return found


def with_intervals(decodes: Sequence[Decode], data_dir: Path) -> list[dict[str, Any]]:
    """Return the rows of the results, each with ``speakers`` and ``wer_interval``, 95 % over the speakers.

    Args:
        decodes: scored.
        data_dir: with a folder for each set; without utt2spk in it, or with one speaker, there is no interval.
    """
    sets, comparer, rows = Sets(data_dir), Comparer(USUAL), []
    for decode in decodes:
        row, name = decode.row(), decode.meta["set"]
        if (data_dir / name / "utt2spk").is_file():
            run = stacked({0: sets[name].counts(read_text(decode.folder / "text"))[""]})
            row["speakers"], row["wer_interval"] = len(run.speakers), comparer.estimate(run).interval
        rows.append(row)
    return rows
