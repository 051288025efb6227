"""Cuts of lhotse, read by lhotse itself."""

from collections.abc import Iterator
from pathlib import Path

from dualmode.data.corpus.row import Row
from dualmode.data.corpus.tables import DAMAGED
from dualmode.errors import UserError
from dualmode.extras import missing

CUTS = ("MonoCut", "MultiCut", "MixedCut", "PaddingCut")
# Of what lhotse does to a recording when it loads it: what leaves times and words as they are in its file.  The rate is
# another one here anyway, and mean and variance are normalised.
_HARMLESS = ("Resample", "Volume")


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
    except (KeyError, TypeError, ValueError, AssertionError, *DAMAGED) as error:
        raise UserError(f"lhotse cannot read {path}: {type(error).__name__}: {error}") from error


def _rows(path: Path, cut, part: str | None) -> Iterator[Row]:
    where = f"{path}: cut {cut.id}"
    if type(cut).__name__ not in ("MonoCut", "MultiCut"):
        fault = (
            f"it is a {type(cut).__name__}, made of several recordings: save it as audio first (lhotse's save_audios)"
        )
        yield Row(where, path, "", None, cut.id, part, fault=fault)
        return
    if cut.recording is None:
        yield Row(where, path, "", None, cut.id, part, fault="it has no audio, at most features")
        return
    if changes := [name for name in map(_name, cut.recording.transforms or ()) if name not in _HARMLESS]:
        fault = f"its recording is to be changed ({', '.join(changes)}): save it as audio first (lhotse's save_audios)"
        yield Row(where, path, "", None, cut.id, part, fault=fault)
        return
    if not cut.supervisions:
        yield Row(where, path, None, None, cut.id, part)
    several = len(cut.supervisions) > 1
    for supervision in cut.supervisions:
        name = supervision.id if several else cut.id
        try:
            source, channel = _source(cut, supervision)
        except UserError as error:
            yield Row(where, path, "", None, name, part, fault=str(error))
            continue
        start = cut.start + (supervision.start if several else 0.0)
        seconds = supervision.duration if several else cut.duration
        yield Row(
            where,
            Path(source),
            supervision.text,
            supervision.speaker,
            name,
            part,
            float(start),
            float(seconds),
            channel,
        )


def _name(transform) -> str:
    """Return the name of a change of a recording, which lhotse has as a mapping or as an object, by its version."""
    return transform["name"] if isinstance(transform, dict) else type(transform).__name__


def _source(cut, supervision) -> tuple[str, int | None]:
    """Return the file that a supervision is heard in, and the channel of it, from 0; None: it has all of the file's.

    Raises:
        UserError: there is no such file, or its channels are those of several.
    """
    channels = cut.channel if isinstance(cut.channel, int) else supervision.channel
    wanted = [channels] if isinstance(channels, int) else sorted(channels)
    sources = [source for source in cut.recording.sources if not set(wanted).isdisjoint(source.channels)]
    if not sources:
        raise UserError(
            f"its recording has no file for its channel ({', '.join(map(str, wanted))}): repair the manifest"
        )
    source, inside = sources[0], sorted(sources[0].channels)
    if source.type != "file":
        raise UserError(f"its audio is a {source.type} ({source.source}), not a file: save it as one")
    if len(wanted) == 1:
        return source.source, inside.index(wanted[0])
    if inside != wanted:
        raise UserError(
            f"its channels ({', '.join(map(str, wanted))}) are not all of one file: name one in its supervision, or "
            "choose one (lhotse's with_channels)"
        )
    return source.source, None
