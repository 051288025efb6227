"""The same experiment with several seeds, beside others: mean and spread of each figure."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dualmode.errors import UserError
from dualmode.results.table import context, weights


@dataclass(frozen=True)
class Spread:
    """Mean, lowest and highest of a figure over seeds."""

    mean: float
    low: float
    high: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(statistics.fmean(values), min(values), max(values), len(values))

    def __str__(self) -> str:
        """
        >>> print(Spread.of([4.0, 5.0, 9.0]))
        6.00 (4.00 to 9.00)
        """
        return f"{self.mean:.2f} ({self.low:.2f} to {self.high:.2f})" if self.runs > 1 else f"{self.mean:.2f}"


Column = tuple[str, float, str]  # set, sparsity, context


def read_wers(path: Path) -> dict[Column, float]:
    """Return the WER in percent of each row of a results.json.

    Raises:
        UserError: the file is missing or has other contents.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {
            (row["set"], row["sparsity"], context(row["chunk_ms"], row["lookahead_ms"], row["left_ms"])): row["wer"]
            for row in rows
        }
    except FileNotFoundError:
        raise UserError(f"there is no {path}: run stages 5 and 6 of that experiment") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a results.json of dualmode.bin.report: {error}") from error


def compare(experiments: Mapping[str, Sequence[Path]]) -> tuple[list[Column], dict[str, list[Spread]]]:
    """Return the columns, and for each name the spread of its experiments' WER in each column.

    Raises:
        UserError: an experiment lacks a column that another one has.
    """
    read = {
        name: [(folder, read_wers(folder / "results.json")) for folder in folders]
        for name, folders in experiments.items()
    }
    columns = sorted({column for runs in read.values() for _, wers in runs for column in wers})
    for runs in read.values():
        for folder, wers in runs:
            for column in columns:
                if column not in wers:
                    raise UserError(
                        f"{folder}/results.json has no row for {column[0]}, {weights(column[1])}, {column[2]}"
                    )
    return columns, {name: [Spread.of([wers[c] for _, wers in runs]) for c in columns] for name, runs in read.items()}


def table(columns: Sequence[Column], rows: Mapping[str, Sequence[Spread]]) -> list[str]:
    """Return a Markdown table: a row for each name, a column for each set and sub-network."""
    heads = [
        f"{name}: {'dense' if sparsity == 0 else f'sparse {100 * sparsity:g} %'}, {where}"
        for name, sparsity, where in columns
    ]
    lines = ["| WER %: mean (lowest to highest) | runs | " + " | ".join(heads) + " |"]
    lines.append("| :-- | --: |" + " --: |" * len(columns))
    lines += [f"| {name} | {cells[0].runs} | " + " | ".join(map(str, cells)) + " |" for name, cells in rows.items()]
    return lines
