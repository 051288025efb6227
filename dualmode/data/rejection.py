"""Utterances that cannot be used: each has a reason and a line in a list, and too many of them stop the work."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dualmode.errors import UserError
from dualmode.lines import read_lines
from dualmode_runtime.audio.fault import Reason
from dualmode_runtime.files import atomic_write

HEADER = "utt\treason\tdetail"


@dataclass(frozen=True)
class Rejection:
    """One rejected utterance; ``detail`` says what was found, in words."""

    utt: str
    reason: Reason
    detail: str


def write_rejections(path: str | os.PathLike, rejections: Iterable[Rejection]) -> None:
    """Write ``utt<TAB>reason<TAB>detail`` lines under a header, in the order given."""
    with atomic_write(path) as out:
        out.write(HEADER + "\n")
        for rejection in rejections:
            detail = " ".join(rejection.detail.split())
            out.write(f"{rejection.utt}\t{rejection.reason.value}\t{detail}\n")


def read_rejections(path: str | os.PathLike) -> list[Rejection]:
    """Read what :func:`write_rejections` wrote.

    Raises:
        UserError: the file is no such list.
    """
    lines = list(read_lines(Path(path)))
    if not lines or lines[0][1] != HEADER:
        raise UserError(f"{path} is no list of rejected utterances: run dualmode validate-data again")
    rejections = []
    for number, line in lines[1:]:
        try:
            utt, reason, detail = line.split("\t")
            rejections.append(Rejection(utt, Reason(reason), detail))
        except ValueError:
            raise UserError(f"{path}:{number}: expected 'utt<TAB>reason<TAB>detail' with a known reason") from None
    return rejections


def rejected_ids(path: str | os.PathLike) -> frozenset[str]:
    """Return the utterances that a list names; none where there is no such file."""
    return frozenset(r.utt for r in read_rejections(path)) if Path(path).is_file() else frozenset()


def summarise(rejections: Sequence[Rejection]) -> str:
    """Return the counts by reason, the most frequent first, as ``3 no-text, 1 missing-file``."""
    counts = Counter(rejection.reason.value for rejection in rejections)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {reason}" for reason, count in ranked)


def stop_if_too_many(
    rejections: Sequence[Rejection], total: int, max_percent: float, listed_in: str | os.PathLike, advice: str = ""
) -> None:
    """Let a few rejected utterances pass, refuse many.

    Args:
        rejections: what was rejected; the list is already in the file ``listed_in``.
        total: utterances looked at, the rejected ones among them.
        max_percent: the share that may be rejected, 0 to 100.
        advice: what to do, where that is known.

    Raises:
        UserError: more than ``max_percent`` of ``total`` are rejected, or nothing is left.
    """
    percent = 100 * len(rejections) / total if total else 0.0
    if percent <= max_percent and len(rejections) < total:
        return
    if total == 0:
        raise UserError(f"no utterance to work on (see {listed_in}): is the data folder empty?")
    first = "; ".join(f"{r.utt}: {r.reason.value} ({r.detail})" for r in rejections[:3])
    raise UserError(
        f"{len(rejections)} of {total} utterances ({percent:.1f} %) are rejected, "
        f"more than the {max_percent:g} % allowed: {summarise(rejections)}; "
        f"all are listed in {listed_in}, the first are {first}; "
        + (advice or "repair the data or raise --max-rejected")
    )
