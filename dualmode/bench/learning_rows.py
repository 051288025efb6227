"""Rows of :mod:`dualmode.bench.learning`: one for every measurement of every training, in a file of JSON lines."""

import itertools
import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from dualmode.errors import UserError


def identity(row: dict) -> tuple[str, str]:
    """Return what a training is known by; rows of before there was a flat start have none."""
    return row["label"], json.dumps({"flat_start": 0} | row["plan"], sort_keys=True)


def check_data(rows: Sequence[dict], path: Path, data: dict) -> None:
    """Raise UserError if rows of ``path`` are of other data than ``data``; rows of before do not say all of it."""
    for row in rows:
        for name, value in data.items():
            if row.get(name, value) != value:
                raise UserError(
                    f"{path} has trainings with {name} {row[name]}, and now it is {value}: give the same data, or name "
                    "another file with --rows"
                )


def read_rows(path: Path) -> list[dict]:
    """Return the measurements of a file of JSON lines; none if it is not there.

    Of a training that was written twice, in part before a kill, the later lines count.

    Raises:
        UserError: a line is no measurement.
    """
    if not path.is_file():
        return []
    rows: dict[tuple, dict] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            rows[identity(row), row["updates"]] = row
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path}:{number}: this is no measurement of a training: remove the line") from None
    return list(rows.values())


def summaries(rows: Sequence[dict]) -> list[dict]:
    """Return one row for each label, plan but for its seed, and number of updates: means at the trainings' end."""
    return [summary for summary, _ in joined(rows) if summary["updates"] == summary["of"]]


def joined(rows: Sequence[dict]) -> Iterator[tuple[dict, list[dict]]]:
    """Yield (means, rows) for all rows that differ in their seed alone."""

    def key(row: dict) -> tuple:
        plan = row["plan"]
        return row["label"], plan["size"], plan["learning_rate"], plan["updates"], but_for(row, "seed"), row["updates"]

    for (label, size, rate, updates, _, at), same in itertools.groupby(sorted(rows, key=key), key):
        members = list(same)
        summary = {"label": label, "size": size, "learning_rate": rate, "of": updates, "updates": at}
        summary |= {"start": members[0]["plan"].get("start"), "plan": members[0]["plan"], "seeds": len(members)}
        for name in ("cer", "cer_stream", "cer_train", "cer_train_stream", "loss", "seconds"):
            if all(name in row for row in members):
                summary[name] = statistics.fmean(row[name] for row in members)
        values = [row["cer"] for row in members]
        summary["spread"] = max(values) - min(values)
        yield summary, members


def but_for(row: dict, *names: str) -> str:
    """Return the plan of a row, or of a summary, without some of its keys."""
    plan = {"flat_start": 0} | row["plan"]
    return json.dumps({key: value for key, value in plan.items() if key not in names}, sort_keys=True)


def best_rates(rows: Sequence[dict]) -> list[list[dict]]:
    """Return the curve, means at each measurement, of every label and plan at the learning rate that ends best."""
    curves: dict[tuple, dict[float, list[dict]]] = {}
    for summary, _ in joined(rows):
        of = (summary["label"], but_for(summary, "seed", "learning_rate"))
        curves.setdefault(of, {}).setdefault(summary["learning_rate"], []).append(summary)
    return [min(rates.values(), key=lambda curve: curve[-1]["cer"]) for rates in curves.values()]


def seeds_of(rows: Sequence[dict], summary: dict) -> list[list[dict]]:
    """Return the rows that a summary joins, and those before them, for each seed in the order of updates."""
    seeds: dict[int, list[dict]] = {}
    for row in sorted(rows, key=lambda row: row["updates"]):
        if row["label"] == summary["label"] and but_for(row, "seed") == but_for(summary, "seed"):
            seeds.setdefault(row["seed"], []).append(row)
    return list(seeds.values())
