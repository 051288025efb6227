"""A Kaldi folder of another toolkit, with ``segments`` or without; commands in wav.scp are refused by name."""

import math
from collections.abc import Iterator
from pathlib import Path

from dualmode.data.corpus.row import LONGEST_S, Row
from dualmode.data.kaldi_dir import joined
from dualmode.errors import UserError
from dualmode_runtime.tables import iterate_table, iterate_wav_scp


def read_kaldi_rows(folder: Path, part: str | None = None) -> Iterator[Row]:
    """Yield the utterances of a folder; one that a list lacks comes without it, one of impossible times with a fault.

    Paths are relative to the current folder, as Kaldi has it, or else to the folder.  With ``segments`` the recordings'
    paths are in memory; utterances never are.

    Raises:
        UserError: a list is malformed or unsorted, or a path is a command.
    """
    text, utt2spk = (iterate_table(folder / name) if (folder / name).is_file() else () for name in ("text", "utt2spk"))
    wav_scp, segments = folder / "wav.scp", folder / "segments"
    cut = segments.is_file()
    recordings = dict(iterate_wav_scp(wav_scp)) if cut else {}
    first, places = (segments, iterate_table(segments)) if cut else (wav_scp, iterate_wav_scp(wav_scp))
    with_speakers = (folder / "utt2spk").is_file()
    for name, (place, words, speaker) in joined([places, text, utt2spk]):
        where = f"{folder}: {name}"
        try:
            if place is None:
                raise UserError(f"not in {first}")
            if speaker is None and with_speakers:
                raise UserError(f"not in {folder / 'utt2spk'}")
            recording, start, seconds = _segment(place) if cut else (place, 0.0, None)
            if cut and recording not in recordings:
                raise UserError(f"it is of the recording {recording}, which {wav_scp} does not have")
        except UserError as error:
            yield Row(where, folder, words, speaker or None, name, part, fault=str(error))
            continue
        path = _path(recordings.get(recording, recording), folder)
        yield Row(where, path, words, speaker or None, name, part, start, seconds)


def _path(audio: str, folder: Path) -> Path:
    path = Path(audio)
    return path if path.is_absolute() or path.exists() else folder / path


def _segment(value: str) -> tuple[str, float, float | None]:
    """Return recording, start and length in seconds; an end of -1 is that of the recording.

    Raises:
        UserError: these are other words or times.
    """
    try:
        recording, *times = value.split()
        start, end = map(float, times)
    except ValueError:
        start = end = math.nan
    if not 0 <= start < LONGEST_S or not (start < end < LONGEST_S or end == -1):
        raise UserError(f"segments has {value!r}: expected a recording, a start and a later end in seconds")
    return recording, start, None if end == -1 else end - start
