"""The end of an epoch whose process was killed in it.

ESPnet writes checkpoint.pth first, then what people and the mean of the best epochs need.  A training that is resumed
goes on after that epoch, so what the kill cut off would stay missing, and the mean would fail after hours::

    checkpoint.pth   Nepoch.pth   latest.pth -> Nepoch.pth   valid.loss.best.pth -> Nepoch.pth
                   ^ killed
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from espnet2.train.reporter import Reporter
from torch import Tensor

from dualmode.models.weights import save_checkpoint


def finish_epoch(
    folder: Path, weights: Mapping[str, Tensor], reporter: Reporter, criteria: Sequence[Sequence[str]]
) -> None:
    """Write what is missing of the last epoch that checkpoint.pth has.

    Args:
        folder: of the training.
        weights: of the model, as checkpoint.pth has them.
        reporter: as checkpoint.pth has it.
        criteria: (phase, key, "min" or "max") of the links to best epochs.
    """
    epoch = reporter.get_epoch()
    file = folder / f"{epoch}epoch.pth"
    if not file.exists():
        save_checkpoint(weights, file)
    best = [
        f"{phase}.{key}.best.pth"
        for phase, key, mode in criteria
        if reporter.has(phase, key) and reporter.get_best_epoch(phase, key, mode) == epoch
    ]
    for link in (folder / name for name in ["latest.pth", *best]):
        if not link.exists() or link.resolve() != file.resolve():
            link.unlink(missing_ok=True)
            link.symlink_to(file.name)


def chosen_epoch(folder: Path, criteria: Sequence[Sequence[str]]) -> int | None:
    """Return the best epoch of the training in ``folder``, to which its links point; None before there is one.

    Args:
        folder: of the training.
        criteria: (phase, key, "min" or "max") of the links; the first that is there counts.
    """
    for phase, key, _ in criteria:
        link = folder / f"{phase}.{key}.best.pth"
        if link.is_symlink() and (match := re.fullmatch(r"(\d+)epoch", link.readlink().stem)):
            return int(match[1])
    return None
