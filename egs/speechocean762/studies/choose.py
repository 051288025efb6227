"""Which learning rate each row of twins.sh counts with: the one that is best on valid.

  python studies/choose.py --exp EXP --rows ... --settings TEXT --out PREFIX

A run is done when EXP/asr_ROW_RATE_SEED/results.json is there.  Of the rates with the most finished seeds, a row takes
the one with the lowest token error rate on valid (of a run, that of its best epoch; of a supernet, the mean of its
branches), mean over these seeds.  Prints ROW=EXP[,EXP...] for dualmode compare, one a line; writes PREFIX_rates.md.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from dualmode.cli import run
from dualmode.errors import UserError
from dualmode.results.output import write_lines
from dualmode.tasks.history import HISTORY, read_history
from dualmode.tasks.patches.settled_epochs import SETTLED


@dataclass(frozen=True)
class Cell:
    """The finished runs of a row at one rate, by seed: folder, and token error rate on valid in percent."""

    rate: str
    runs: dict[str, tuple[Path, float]]

    @property
    def valid(self) -> float:
        return fmean(rate for _, rate in self.runs.values())


def best_valid(folder: Path) -> float:
    """Return the lowest token error rate on valid of an epoch whose masks are at their full sparsity."""
    try:
        valid = read_history(folder)["valid"]
        on_ramp = {epoch for epoch, settled in valid.get(SETTLED, ()) if settled < 1}
        return min(rate for epoch, rate in valid["ter"] if epoch not in on_ramp)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{folder / HISTORY} does not say how well valid was recognised ({error}): train {folder} again"
        ) from error


def cells(exp: Path, row: str) -> list[Cell]:
    """Return what is done of a row, a cell for each rate, rising."""
    runs: dict[str, dict[str, tuple[Path, float]]] = {}
    for path in exp.glob(f"asr_{row}_*_*"):
        rate, seed = path.name.removeprefix(f"asr_{row}_").split("_")
        if seed.isdecimal() and (path / "results.json").is_file():  # not one that was moved aside, _1.old-DATE
            runs.setdefault(rate, {})[seed] = (path, best_valid(path))
    return [Cell(rate, dict(sorted(runs[rate].items()))) for rate in sorted(runs, key=float)]


def choose(found: Sequence[Cell]) -> Cell:
    """
    >>> done = {"1": (Path("a"), 50.0), "2": (Path("b"), 60.0)}
    >>> choose([Cell("8e-4", done), Cell("4e-4", {"1": (Path("c"), 20.0)})]).rate
    '8e-4'
    """
    most = max(len(cell.runs) for cell in found)
    return min((cell for cell in found if len(cell.runs) == most), key=lambda cell: cell.valid)


def lines(rows: Mapping[str, Sequence[Cell]], settings: str) -> list[str]:
    """Return the table of the rates: token error rates on valid, the chosen one in bold."""
    rates = sorted({cell.rate for found in rows.values() for cell in found}, key=float)
    seeds = {seed for found in rows.values() for cell in found for seed in cell.runs}
    done, whole = sum(len(c.runs) for found in rows.values() for c in found), len(rows) * len(rates) * len(seeds)
    text = [f"{done} trainings are done ({settings})."]
    if done < whole:
        text.append(f"\n**Partial: not all of {whole}. Rates are chosen, and differences judged, among what is done.**")
    text += ["", f"| valid: token error rate %, mean over seeds | {' | '.join(f'peak rate {r}' for r in rates)} |"]
    text.append("| :-- |" + " --: |" * len(rates))
    for row, found in rows.items():
        shown = {}
        for cell in found:
            value = f"**{cell.valid:.2f}**" if cell.rate == choose(found).rate else f"{cell.valid:.2f}"
            shown[cell.rate] = f"{value} (seed{'s' * (len(cell.runs) > 1)} {', '.join(cell.runs)})"
        text.append(f"| {row} | " + " | ".join(shown.get(rate, "not run") for rate in rates) + " |")
    return text


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exp", type=Path, required=True)
    parser.add_argument("--rows", nargs="+", required=True)
    parser.add_argument("--settings", required=True, help="what all trainings have in common, for the table")
    parser.add_argument("--out", required=True, metavar="PREFIX")
    args = parser.parse_args(argv)
    rows = {row: cells(args.exp, row) for row in args.rows}
    write_lines(f"{args.out}_rates.md", lines(rows, args.settings))
    for row, found in rows.items():
        if found:
            print(f"{row}={','.join(str(folder) for folder, _ in choose(found).runs.values())}")


if __name__ == "__main__":
    run(main)
