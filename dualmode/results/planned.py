"""Comparisons that are written down before the trainings, and what can be said once these are done.

::

    margin: 1.0                    # % absolute
    comparisons:
      - {row: supernet, against: dense-alone, set: test, weights: dense, ask: non-inferior}
      - {row: supernet, against: scratch, set: test, weights: sparse, ask: different}
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dualmode.config import check_at_least, from_mapping
from dualmode.errors import UserError
from dualmode.results.bootstrap import FEWEST, LEVEL, holm
from dualmode.results.compare import Column
from dualmode.results.intervals import Comparer, Difference
from dualmode.results.speakers import SpeakerErrors
from dualmode.results.table import weights

WEIGHTS = ("dense", "sparse")
QUESTIONS = ("non-inferior", "different")


@dataclass(frozen=True)
class Planned:
    """One comparison.

    Args:
        row, against: names of rows; what is judged is WER of ``row`` minus WER of ``against``.
        set: name of a test set, or of a part of one, "test/child".
        weights: "dense" or "sparse": which sub-network of both.
        ask: "non-inferior": is the difference below the margin?  "different": is it not 0?
    """

    row: str
    against: str
    set: str
    weights: str
    ask: str

    def __post_init__(self):
        for name, allowed in (("weights", WEIGHTS), ("ask", QUESTIONS)):
            if getattr(self, name) not in allowed:
                raise UserError(f"a comparison has {name} {getattr(self, name)!r}: it must be {' or '.join(allowed)}")

    def __str__(self) -> str:
        return f"the comparison of {self.row} with {self.against} ({self.set}, {self.weights}, {self.ask})"

    def column(self, row: Mapping[Column, SpeakerErrors]) -> Column | None:
        """Return the column of ``row`` that this is about, None where it has none.

        Raises:
            UserError: it has several.
        """
        found = [c for c in row if c[0] == self.set and (c[1] == 0) == (self.weights == "dense")]
        if len(found) > 1:
            raise UserError(
                f"{self}: one of them has several {self.weights} sub-networks on {self.set}, so it does not say which: "
                "name rows that have one"
            )
        return found[0] if found else None


@dataclass(frozen=True)
class Plan:
    """What was planned; ``margin`` in % absolute."""

    margin: float
    comparisons: Sequence[Planned]

    def __post_init__(self):
        check_at_least("margin", self, 0.0, "margin")
        if not isinstance(self.comparisons, list) or not self.comparisons:
            raise UserError("comparisons must be a list of at least one comparison")
        items = [item if isinstance(item, dict) else {"": item} for item in self.comparisons]
        object.__setattr__(self, "comparisons", [from_mapping(Planned, item, "a comparison") for item in items])
        twice = next((line for line, count in Counter(self.comparisons).items() if count > 1), None)
        if twice:
            raise UserError(f"{twice} is planned twice, and would count twice in Holm's correction: remove one")

    def verdicts(self, rows: Mapping[str, Mapping[Column, SpeakerErrors]], comparer: Comparer) -> list["Verdict"]:
        """Return what is known about each comparison.

        Holm's correction counts all of them: one that cannot be judged yet has p 1, so that a partial table never says
        more than the whole one.

        Raises:
            UserError: a row has several sub-networks that are meant, both have others, or no row has the set; or there
                are so few resamples that not even a clear difference would stand after the correction.
        """
        comparer.check_enough_for(len(self.comparisons))
        sets = sorted({column[0] for row in rows.values() for column in row})
        found: list[tuple[Difference | None, float | None, bool]] = []
        for planned in self.comparisons:
            difference = p = None
            if sets and planned.set not in sets:
                raise UserError(f"{planned} is planned on a set that no row has: they have {', '.join(sets)}")
            pair = [rows.get(name, {}) for name in (planned.row, planned.against)]
            columns = [planned.column(row) for row in pair]
            if None not in columns:
                if columns[0] != columns[1]:
                    names = [" ".join((weights(c[1]), c[2])) for c in columns]
                    raise UserError(
                        f"{planned} is planned of one sub-network, and they have {names[0]} and {names[1]}: "
                        "compare rows that were decoded alike"
                    )
                bound = self.margin if planned.ask == "non-inferior" else None
                mine, other = (row[column] for row, column in zip(pair, columns, strict=True))
                difference = comparer.difference(mine, other, bound)
                p = difference.p if difference and difference.speakers >= FEWEST else None
            found.append((difference, p, None not in columns))
        corrected = holm([1.0 if p is None else p for _, p, _ in found])
        return [
            Verdict(planned, self.margin, difference, None if p is None else fixed, both)
            for planned, (difference, p, both), fixed in zip(self.comparisons, found, corrected, strict=True)
        ]


@dataclass(frozen=True)
class Verdict:
    """A planned comparison with what came out: None where the rows are not there yet, or have too few speakers.

    Args:
        both: both rows are there.
    """

    planned: Planned
    margin: float
    difference: Difference | None
    p_holm: float | None
    both: bool = False

    @property
    def text(self) -> str:
        """What may be said: "not run" until both rows are there."""
        if self.difference is None:
            return "no seed that both have" if self.both else "not run"
        if self.difference.interval is None or self.p_holm is None:
            return "too few speakers to be judged"
        low, high = self.difference.interval
        if self.planned.ask == "non-inferior":
            if low > self.margin:
                return "worse by more than the margin"
            if high >= self.margin:
                return "not shown"
            said = "non-inferior"
        elif low <= 0 <= high:
            return "no difference shown"
        else:
            said = "lower" if high < 0 else "higher"
        return said if self.p_holm < 1 - LEVEL else f"{said}, but not after Holm's correction"
