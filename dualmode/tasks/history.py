"""history.jsonl: the means of each epoch, one JSON object a line."""

import json
import math
from pathlib import Path

from espnet2.train.reporter import SubReporter, aggregate

from dualmode.tasks.plateau import plateau_warning

HISTORY = "history.jsonl"
SHOWN = ("loss", "ter", "wer", "accuracy", "chance", "perplexity", "audio_h")


def mean_stats(reporter: SubReporter) -> dict[str, float]:
    """Return the epoch's mean of every value that a model reported, without ESPnet's own book-keeping."""
    hidden = ("_time", "loss_scale", "clip")
    return {key: float(aggregate(values)) for key, values in reporter.stats.items() if not key.endswith(hidden)}


def waiting_for_data(reporter: SubReporter) -> float | None:
    """Return the share of an epoch's updates that was spent waiting for batches, in percent; None before an update.

    Of each update, ``iter_time`` is the wait and ``train_time`` all that it took.
    """
    times = [[float(one.value) for one in reporter.stats.get(key, ())] for key in ("iter_time", "train_time")]
    waited, all_of_it = (sum(value for value in values if not math.isnan(value)) for values in times)
    return 100 * waited / all_of_it if all_of_it else None


def record(folder: Path, phase: str, reporter: SubReporter, max_epoch: int) -> None:
    """Append the epoch's means to history.jsonl and print those that people follow.

    Args:
        folder: of the training.
        phase: "train" or "valid".
        reporter: of that phase of the epoch.
        max_epoch: the training's number of epochs.
    """
    stats = mean_stats(reporter)
    entry = {"epoch": reporter.get_epoch(), "phase": phase, "stats": stats}
    waited = waiting_for_data(reporter) if phase == "train" else None
    if waited is not None:
        entry["waiting_for_data_percent"] = round(waited, 2)
    drop_torn_line(folder / HISTORY)
    with open(folder / HISTORY, "a", encoding="utf-8") as out:
        out.write(json.dumps(entry) + "\n")
    shown = ", ".join(with_unit(key, value) for key, value in stats.items() if key.startswith(SHOWN))
    waiting = "" if waited is None else f", waiting for data {waited:.1f} % of the time"
    print(f"epoch {reporter.get_epoch()}/{max_epoch} {phase}: {shown}{waiting}", flush=True)
    if phase == "valid" and (warning := plateau_warning(stats, reporter.get_epoch(), max_epoch)):
        print(warning, flush=True)


def with_unit(key: str, value: float) -> str:
    """Return a value by its name as people read it: rates in percent, losses in nats and perplexities as they are.

    >>> with_unit("ter_dense", 3.548), with_unit("accuracy_dense", 0.051), with_unit("loss", 3.604)
    ('ter_dense 3.5 %', 'accuracy_dense 5.1 %', 'loss 3.604')
    >>> with_unit("audio_h", 0.005)
    'audio 18.0 s an update'
    """
    if key == "audio_h":
        return f"audio {3600 * value:.1f} s an update"
    if key.startswith(("ter", "wer")):
        return f"{key} {value:.1f} %"
    return f"{key} {100 * value:.1f} %" if key.startswith(("accuracy", "chance")) else f"{key} {value:.3f}"


def drop_torn_line(path: Path) -> None:
    """Cut off a last line that a full disk or a power cut left without its end, and say so."""
    data = path.read_bytes() if path.is_file() else b""
    if data and not data.endswith(b"\n"):
        print(f"{path}: the last line is cut off, and left out", flush=True)
        path.write_bytes(data[: data.rfind(b"\n") + 1])


def read_history(folder: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Return ``{"train": {key: [(epoch, value), ...]}, "valid": ...}``; of a repeated epoch the last run counts.

    Lines that are damaged are left out, which is said: curves are no reason to fail a training.
    """
    drop_torn_line(folder / HISTORY)
    latest: dict[tuple[int, str], dict] = {}
    lines = (folder / HISTORY).read_text(encoding="utf-8", errors="replace").split("\n")
    for number, line in enumerate(filter(None, lines), start=1):
        try:
            entry = json.loads(line)
            epoch, phase = int(entry["epoch"]), {"train": "train", "valid": "valid"}[entry["phase"]]
            latest[epoch, phase] = {str(key): float(value) for key, value in entry["stats"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            print(f"{folder / HISTORY}:{number} is damaged, and left out", flush=True)
    history: dict = {"train": {}, "valid": {}}
    for (epoch, phase), stats in sorted(latest.items()):
        for key, value in stats.items():
            history[phase].setdefault(key, []).append((epoch, value))
    return history
