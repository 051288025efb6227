"""Tables of :mod:`dualmode.results.intervals`, for people (Markdown) and for programs (JSON)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from dualmode.results.bootstrap import ENOUGH, FEWEST
from dualmode.results.compare import Column, record, subnet_name
from dualmode.results.intervals import Difference, Estimate, Interval
from dualmode.results.planned import Verdict
from dualmode.results.table import escaped

ROWS = ("row", "set", "sub-network", "WER %", "95 % interval", "seeds")
DIFFERENCES = ("row", "set", "sub-network", "difference, % absolute", "95 % interval", "p", "smallest visible", "seeds")
VERDICTS = ("row", "against", "set", "weights", "difference, % absolute", "95 % interval", "smallest visible", "seeds",
            "asked", "p, Holm", "verdict")  # fmt: skip
WORDS = {"row", "against", "set", "sub-network", "weights", "asked", "verdict", "seeds"}  # the others are numbers


def estimate_table(rows: Mapping[str, Mapping[Column, Estimate]]) -> Iterator[str]:
    """Yield a table with a line for each row and column."""
    yield from head(ROWS)
    columns = columns_of(rows)
    for column in columns:
        for name, row in rows.items():
            if column in row:
                one = row[column]
                where = (f"{column[0]}, {one.words} words, {speakers(one.speakers)}", subnet(column, columns))
                yield line(name, *where, f"{one.wer:.2f}", bounds(one.interval, ""), seeds(one.seeds))


def difference_table(
    rows: Mapping[str, Mapping[Column, Difference]], against: str, columns: Sequence[Column]
) -> Iterator[str]:
    """Yield the table of the differences from the row ``against``; ``columns`` are those of all rows' estimates.

    Where no other row shares a seed and a column with it, a sentence says so.
    """
    what = f"WER minus that of {against}"
    if not any(rows.values()):
        yield f"{what}: no other row has one of its sub-networks on the same set with the same seed."
        return
    yield from head((what, *DIFFERENCES[1:]))
    for column in columns_of(rows):
        for name, row in rows.items():
            if column in row:
                one = row[column]
                value, found, smallest, runs = difference_cells(one)
                where = (column[0], subnet(column, columns))
                yield line(name, *where, value, found, probability(one.p), smallest, runs)


def verdict_table(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield the table of what was planned."""
    yield from head(VERDICTS)
    for one in verdicts:
        planned = one.planned
        cells = difference_cells(one.difference) if one.difference else ("-",) * 4
        asked = f"below +{one.margin:.2f}?" if planned.ask == "non-inferior" else "not 0?"
        names = (planned.row, planned.against, planned.set, planned.weights)
        yield line(*names, *cells, asked, probability(one.p_holm), one.text)


def legend(
    rows: Mapping[str, Mapping[Column, Estimate]], count: int, random_seed: int, planned: int = 0
) -> Iterator[str]:
    """Yield what a reader of the tables must know: ``count`` resamples drawn by ``random_seed``."""
    if where := shared_context(columns_of(rows)):
        yield f"Sparse sub-networks: {where}.\n"
    yield (
        f"Intervals: {count} paired resamples, speakers crossed with seeds (`dualmode/results/bootstrap.py`, random "
        f"seed {random_seed}). Smallest visible: the true difference that the same test finds in four cases of five."
    )
    if any(len(one.seeds) == 1 for row in rows.values() for one in row.values()):
        yield (
            "\nWhere there is one seed, an interval is about other speakers only; how much other seeds would differ is "
            "not in it."
        )
    if any(len(one.seeds) in (2, 3) for row in rows.values() for one in row.values()):
        yield (
            "\nOf few seeds, intervals are too narrow where much differs between them: those of 125 speakers and two "
            "seeds hold the truth in 98 cases of 100 where seeds differ by 0.3 % (standard deviation, absolute), in 90 "
            "where they differ by 1 %, in 65 where they differ by 4 %; with three seeds in 99, 93 and 81."
        )
    if any(1 < one.speakers < ENOUGH for row in rows.values() for one in row.values()):
        yield (
            f"\nOf fewer than {ENOUGH} speakers, intervals are too narrow and p too small: with ten speakers they hold "
            "the truth in 92 cases of 100, with five in 87, with three in 75, with two in half of them. Planned "
            f"comparisons are judged from {FEWEST} speakers on."
        )
    if planned:
        yield f"\nHolm's correction counts all {planned} planned comparisons, run or not."


def estimate_records(rows: Mapping[str, Mapping[Column, Estimate]]) -> list[dict[str, Any]]:
    """Return a record for each line of :func:`estimate_table`."""
    return [record(name, c, asdict(one)) for name, row in rows.items() for c, one in row.items()]


def difference_records(rows: Mapping[str, Mapping[Column, Difference]], against: str) -> list[dict[str, Any]]:
    """Return a record for each line of :func:`difference_table`."""
    return [
        record(name, c, {"against": against, **asdict(one)}) for name, row in rows.items() for c, one in row.items()
    ]


def verdict_records(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Return a record for each line of :func:`verdict_table`."""
    return [
        asdict(one.planned)
        | {"margin": one.margin, "p_holm": one.p_holm, "verdict": one.text}
        | (asdict(one.difference) if one.difference else {})
        for one in verdicts
    ]


def columns_of(rows: Mapping[str, Mapping[Column, Any]]) -> list[Column]:
    return sorted({column for row in rows.values() for column in row})


def shared_context(columns: Sequence[Column]) -> str | None:
    """Return the context of all sparse sub-networks, None where they differ or there are none."""
    found = {where for _, sparsity, where in columns if sparsity}
    return found.pop() if len(found) == 1 else None


def subnet(column: Column, columns: Sequence[Column]) -> str:
    return subnet_name(*column[1:], shared=shared_context(columns) is not None)


def difference_cells(one: Difference) -> tuple[str, str, str, str]:
    """Return the cells of a difference: its value, its interval, the smallest one that could be seen, the seeds."""
    smallest = "-" if one.smallest is None else f"{one.smallest:.2f}"
    return f"{one.value:+.2f}", bounds(one.interval, "+"), smallest, seeds(one.seeds)


def bounds(found: Interval | None, sign: str) -> str:
    """
    >>> bounds((-0.5, 1.25), "+"), bounds(None, "")
    ('-0.50 to +1.25', '-')
    """
    return "-" if found is None else f"{found[0]:{sign}.2f} to {found[1]:{sign}.2f}"


def probability(p: float | None) -> str:
    """
    >>> probability(0.0312), probability(0.0002), probability(None)
    ('0.031', '< 0.001', '-')
    """
    return "-" if p is None else f"{p:.3f}" if p >= 0.001 else "< 0.001"


def seeds(found: Sequence[int]) -> str:
    return ", ".join(map(str, found))


def speakers(count: int) -> str:
    return "one speaker" if count == 1 else f"{count} speakers"


def head(names: Sequence[str]) -> Iterator[str]:
    yield line(*names)
    yield line(*(":--" if name in WORDS or name.startswith("WER minus") else "--:" for name in names))


def line(*cells: str) -> str:
    return f"| {' | '.join(map(escaped, cells))} |"
