"""The same experiment with several seeds, beside others: mean and spread of each figure."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dualmode.errors import UserError
from dualmode.results.decodes import NUMBER, NUMBER_OR_NONE, fits, no_number, read_meta
from dualmode.results.table import heard, weights


@dataclass(frozen=True)
class Spread:
    """A figure over seeds: its value in each run."""

    values: tuple[float, ...]

    @property
    def runs(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    def as_json(self) -> dict:
        return {"mean": self.mean, "low": self.low, "high": self.high, "runs": self.runs, "values": list(self.values)}

    def __format__(self, sign: str) -> str:
        """
        >>> print(f"{Spread((4.0, 5.0, 9.0))}", f"{Spread((-1.0, 2.0)):+}")
        6.00 (4.00 to 9.00) +0.50 (-1.00 to +2.00)
        """
        mean, low, high = (f"{value:{sign}.2f}" for value in (self.mean, self.low, self.high))
        return f"{mean} ({low} to {high})" if self.runs > 1 else mean

    def __str__(self) -> str:
        return f"{self}"


Column = tuple[str, float, str]  # set, sparsity, context


def read_rows(path: Path) -> list[dict]:
    """Return the rows of a results.json, without those of stage 7.

    Raises:
        UserError: the file is missing or has other contents.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"), parse_constant=no_number)
        if not isinstance(rows, list):
            raise ValueError("it must be a list of rows, each with keys and values")
        for row in rows:
            _check_row(row)
        decoded = [row for row in rows if "runtime" not in row]
        if not decoded:
            raise ValueError("it has no row of a decoded set")
        return decoded
    except FileNotFoundError:
        raise UserError(f"there is no {path}: run stages 5 and 6 of that experiment") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not a results.json of dualmode report: {error}") from error


def wers_of(path: Path, rows: Sequence[dict]) -> dict[Column, float]:
    """Return the WER in percent of each of the ``rows`` of ``path``; UserError where two are of one column."""
    found: dict[Column, float] = {}
    for row in rows:
        column = row["set"], row["sparsity"], heard(row)
        if column in found:
            raise UserError(
                f"{path} has {column[0]} decoded twice by one sub-network (sparsity {column[1]:g}, {column[2]}): "
                "leave one of these decode_* folders in it, and report again (stage 6)"
            )
        found[column] = row["wer"]
    return found


def check_references(found: Mapping[Path, Sequence[dict]]) -> None:
    """Raise UserError where a set of the same name has other numbers of words in two files: it is another set."""
    seen: dict[str, tuple[int, Path]] = {}
    for path, rows in found.items():
        for row in rows:
            if "words" not in row:  # of another program
                continue
            words, first = seen.setdefault(row["set"], (row["words"], path))
            if words != row["words"]:
                raise UserError(
                    f"{row['set']} has {words} words in {first} and {row['words']} in {path}: only error rates against "
                    "the same references can be compared; decode and report both on one version of the set"
                )


def read_seed(folder: Path) -> int | None:
    """Return the seed of a run, from what it decoded; None where nothing, or not one thing, is said."""
    seeds = {read_meta(path)["seed"] for path in folder.glob("decode_*/decode.json")}
    return seeds.pop() if len(seeds) == 1 else None


def _check_row(row: dict) -> None:
    """Raise ValueError that names the key of a row that is missing or has a value of another type."""
    if not isinstance(row, dict):
        raise ValueError("it must be a list of rows, each with keys and values")
    if "runtime" in row:
        return
    for key in ("set", "sparsity", "wer", "chunk_ms", "lookahead_ms", "left_ms"):
        if key not in row:
            raise ValueError(f"a row has no {key}")
        value = row[key]
        types = (str,) if key == "set" else NUMBER_OR_NONE if key.endswith("_ms") else NUMBER
        if not fits(value, types):
            raise ValueError(f"{key} is {value!r}")


def compare(
    experiments: Mapping[str, Sequence[Path]], against: str | None = None
) -> tuple[list[Column], dict[str, list[Spread | None]]]:
    """Return the columns, and for each name the spread of its runs' WER in each column; None where it was not run.

    Args:
        experiments: folders of the runs of each name.
        against: a name whose WER is subtracted, run by run: seeds differ by more than what is compared often does, and
            runs of one seed share much, such as the model that they started from.  It has no row of its own then.

    Raises:
        UserError: some runs of an experiment have a column that its others lack, or it has not as many runs as the
            one that it is compared with, or they are of other seeds, or of other references.
    """
    for name, folders in experiments.items():
        if against and len(folders) != len(experiments[against]):
            raise UserError(
                f"{name} has {len(folders)} runs and {against} {len(experiments[against])}: only runs of the same "
                "seeds, in the same order, can be compared one by one"
            )
        for folder, other in zip(folders, experiments[against] if against else (), strict=False):
            seeds = read_seed(folder), read_seed(other)
            if None not in seeds and seeds[0] != seeds[1]:
                raise UserError(
                    f"{folder} has the seed {seeds[0]} and {other}, which it is compared with, {seeds[1]}: name the "
                    f"runs of {name} and {against} in the same order of seeds"
                )
    files = [folder / "results.json" for folders in experiments.values() for folder in folders]
    rows = {path: read_rows(path) for path in files}
    check_references(rows)
    found = {path.parent: wers_of(path, rows[path]) for path in files}
    read = {name: [(folder, found[folder]) for folder in folders] for name, folders in experiments.items()}
    columns = sorted({column for runs in read.values() for _, wers in runs for column in wers})
    if against:
        base = [wers for _, wers in read.pop(against)]
        read = {name: [(f, _minus(w, b)) for (f, w), b in zip(runs, base, strict=True)] for name, runs in read.items()}
        columns = [column for column in columns if all(column in wers for wers in base)]
    return columns, {name: [spread(runs, column) for column in columns] for name, runs in read.items()}


def _minus(wers: Mapping[Column, float], others: Mapping[Column, float]) -> dict[Column, float]:
    return {column: wer - others[column] for column, wer in wers.items() if column in others}


def spread(runs: Sequence[tuple[Path, Mapping[Column, float]]], column: Column) -> Spread | None:
    """Return the spread of one column over the runs of one experiment, or None if none of them has it."""
    found = [wers[column] for _, wers in runs if column in wers]
    if not found:
        return None
    for folder, wers in runs:
        if column not in wers:
            name, sparsity, where = column
            raise UserError(f"{folder}/results.json has no row for {name}, {weights(sparsity)}, {where}; others have")
    return Spread(tuple(found))


def spread_records(columns: Sequence[Column], rows: Mapping[str, Sequence[Spread | None]]) -> list[dict]:
    """Return a JSON record for each cell of :func:`tables` that was run."""
    return [
        record(name, column, spread.as_json())
        for name, spreads in rows.items()
        for column, spread in zip(columns, spreads, strict=True)
        if spread is not None
    ]


def record(name: str, column: Column, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON record of a row's ``figures`` in a column."""
    return {"name": name, "set": column[0], "sparsity": column[1], "context": column[2], **figures}


def by_set(columns: Sequence[Column]) -> dict[str, list[int]]:
    """Return for each set where its columns are.

    >>> by_set([("test", 0.0, "full"), ("other", 0.0, "full"), ("test", 0.7, "full")])
    {'test': [0, 2], 'other': [1]}
    """
    places: dict[str, list[int]] = {}
    for place, (name, _, _) in enumerate(columns):
        places.setdefault(name, []).append(place)
    return places


def tables(
    columns: Sequence[Column], rows: Mapping[str, Sequence[Spread | None]], against: str | None = None
) -> list[str]:
    """Return a Markdown table for each set: a row for each name, a column for each sub-network.

    A context that all sparse sub-networks share is said once, below.  With ``against``, rows are differences.
    """
    what, sign = (f"WER minus that of {against}, % absolute", "+") if against else ("WER %", "")
    shared = {where for _, sparsity, where in columns if sparsity}
    lines = []
    for name, places in by_set(columns).items():
        heads = [subnet_name(*columns[place][1:], len(shared) == 1) for place in places]
        lines.append(f"| {name}: {what}, mean (lowest to highest) | runs | " + " | ".join(heads) + " |")
        lines.append("| :-- | --: |" + " --: |" * len(places))
        for label, cells in rows.items():
            shown = [cells[place] for place in places]
            runs = max((cell.runs for cell in shown if cell), default=0)
            texts = ("not run" if cell is None else format(cell, sign) for cell in shown)
            lines.append(f"| {label} | {runs} | " + " | ".join(texts) + " |")
        lines.append("")
    if len(shared) == 1:
        return [*lines, f"Sparse sub-networks: {shared.pop()}."]
    return lines[:-1]


def subnet_name(sparsity: float, where: str, shared: bool = False) -> str:
    """Return a column's name; a ``shared`` context is said elsewhere."""
    if sparsity == 0:
        return f"dense, {where}"
    return f"sparse {100 * sparsity:g} %" + ("" if shared else f", {where}")
