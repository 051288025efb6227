"""The utterances of a folder to decode: features of stage 1 (``feats.scp``), or audio files (``wav.scp``)."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from dualmode.data.fbank import fbank
from dualmode.data.features import FeatureTable, split_target
from dualmode.data.kaldi_dir import read_table
from dualmode.data.recordings import usable_recordings
from dualmode.errors import UserError
from dualmode.frames import FEATURE_MS, SAMPLE_RATE
from dualmode_runtime.audio.fault import AudioFault
from dualmode_runtime.audio.reading import read_audio, read_header


class Features(Mapping[str, np.ndarray]):
    """Features (frames of 10 ms, bins) of each utterance of a feature folder, read when asked for.

    Raises:
        UserError: an archive cannot be read; its utterance is named.
    """

    def __init__(self, folder: Path, bins: int | None = None):
        self._scp, self._bins = folder / "feats.scp", bins
        self._features = FeatureTable(self._scp)
        lengths = folder / "utt2num_frames"
        self._lengths = read_table(lengths) if lengths.is_file() else {}

    def __getitem__(self, key: str) -> np.ndarray:
        features = self._features[key]
        if self._bins not in (None, features.shape[1]):
            raise UserError(
                f"{self._scp}: the features of the utterance {key} have {features.shape[1]} bins, the model hears "
                f"{self._bins}: make them with make_fbank"
            )
        return features

    def __iter__(self) -> Iterator[str]:
        return iter(self._features)

    def __len__(self) -> int:
        return len(self._features)

    def frames(self, key: str) -> int:
        """Return the length of an utterance in frames of 10 ms, if possible without reading it."""
        stated = self._lengths.get(key, "")
        return int(stated) if stated.isascii() and stated.isdecimal() else len(self[key])

    def file(self, key: str) -> tuple[str, str]:
        """Return the file that an utterance is read from, and where it stands in it."""
        target = self._features.target(key)
        return split_target(target)[0], target


class Recordings(Mapping[str, np.ndarray]):
    """The same for a Kaldi folder of 16 kHz mono files, whose features are computed when asked for.

    Raises:
        UserError: an audio file cannot be used; its utterance is named.
    """

    def __init__(self, folder: Path):
        self._paths = usable_recordings(folder / "wav.scp")

    def __getitem__(self, key: str) -> np.ndarray:
        return fbank(self._read(read_audio, key))

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def frames(self, key: str) -> int:
        """Return the length of an utterance in frames of 10 ms, about."""
        return self._read(read_header, key) * 1000 // (FEATURE_MS * SAMPLE_RATE)

    def file(self, key: str) -> tuple[str, str]:
        """Return the file that an utterance is read from, twice, as :meth:`Features.file` does."""
        return self._paths[key], self._paths[key]

    def _read(self, reader, key: str):
        try:
            return reader(self._paths[key], SAMPLE_RATE)
        except AudioFault as fault:
            raise UserError(f"the utterance {key} cannot be decoded: {fault}") from fault


def open_inputs(folder: Path, bins: int | None = None) -> Features | Recordings:
    """Return the utterances of a folder, features with so many bins.

    Raises:
        UserError: it holds neither feats.scp nor wav.scp, or nothing in it.
    """
    utterances: Features | Recordings
    if (folder / "feats.scp").is_file():
        utterances = Features(folder, bins)
    elif (folder / "wav.scp").is_file():
        utterances = Recordings(folder)
    else:
        raise UserError(f"{folder} has neither feats.scp (features, dualmode make-fbank) nor wav.scp (audio files)")
    if not utterances:
        raise UserError(f"{folder} lists no utterances")
    return utterances
