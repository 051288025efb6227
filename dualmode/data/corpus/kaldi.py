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
    if not (folder / "segments").is_file():
        for name, (audio, words, speaker) in joined([iterate_wav_scp(folder / "wav.scp"), text, utt2spk]):
            where = f"{folder}: {name}"
            if audio is None:
                yield Row(where, folder, words, speaker or None, name, part, fault=f"not in {folder / 'wav.scp'}")
            elif speaker is None and utt2spk:
                yield Row(where, folder, words, None, name, part, fault=f"not in {folder / 'utt2spk'}")
            else:
                yield Row(where, _path(audio, folder), words, speaker or None, name, part)
        return
    recordings = dict(iterate_wav_scp(folder / "wav.scp"))
    for name, (segment, words, speaker) in joined([iterate_table(folder / "segments"), text, utt2spk]):
        where = f"{folder}: {name}"
        if segment is None:
            yield Row(where, folder, words, speaker or None, name, part, fault=f"not in {folder / 'segments'}")
            continue
        if speaker is None and utt2spk:
            yield Row(where, folder, words, None, name, part, fault=f"not in {folder / 'utt2spk'}")
            continue
        try:
            recording, start, seconds = _segment(segment)
            if recording not in recordings:
                raise UserError(f"it is of the recording {recording}, which {folder / 'wav.scp'} does not have")
        except UserError as error:
            yield Row(where, folder, words, speaker or None, name, part, fault=str(error))
            continue
        path = _path(recordings[recording], folder)
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
