"""Cuts of lhotse, read by lhotse itself."""

from collections.abc import Iterator
from pathlib import Path

from dualmode.data.corpus.row import Row
from dualmode.errors import UserError
from dualmode.extras import missing

CUTS = ("MonoCut", "MultiCut", "MixedCut", "PaddingCut")


def read_cut_rows(path: Path, part: str | None = None) -> Iterator[Row]:
    """Yield an utterance for each supervision of each cut; only one cut is in memory at a time.

    Raises:
        UserError: lhotse is not installed, or cannot read the file.
    """
    try:
        from lhotse import CutSet
    except ImportError:
        raise missing("lhotse", f"{path}") from None
    try:
        for cut in CutSet.from_jsonl_lazy(path):
            yield from _rows(path, cut, part)
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        raise UserError(f"lhotse cannot read {path}: {type(error).__name__}: {error}") from error


def _rows(path: Path, cut, part: str | None) -> Iterator[Row]:
    where = f"{path}: cut {cut.id}"
    if type(cut).__name__ not in ("MonoCut", "MultiCut"):
        fault = (
            f"it is a {type(cut).__name__}, made of several recordings: save it as audio first (lhotse's save_audios)"
        )
        yield Row(where, path, "", None, cut.id, part, fault=fault)
        return
    if cut.features is not None and cut.recording is None:
        yield Row(where, path, "", None, cut.id, part, fault="it has features and no audio")
        return
    channel = cut.channel if isinstance(cut.channel, int) else None
    source = next((s for s in cut.recording.sources if channel is None or channel in s.channels), None)
    if source is None or source.type != "file":
        kind = source.type if source else "none for its channel"
        fault = f"its audio is a {kind} ({source.source if source else '-'}), not a file: save it as one"
        yield Row(where, path, "", None, cut.id, part, fault=fault)
        return
    if not cut.supervisions:
        yield Row(where, Path(source.source), None, None, cut.id, part)
    several = len(cut.supervisions) > 1
    for supervision in cut.supervisions:
        start = cut.start + (supervision.start if several else 0.0)
        seconds = supervision.duration if several else cut.duration
        inside = None if channel is None else sorted(source.channels).index(channel)
        yield Row(
            where,
            Path(source.source),
            supervision.text,
            supervision.speaker,
            supervision.id if several else cut.id,
            part,
            float(start),
            float(seconds),
            inside,
        )
