"""Features for ESPnet's data loader, through the guarded door of :mod:`dualmode.data.features`."""

from espnet2.train.dataset import DATA_TYPES

from dualmode.data.features import FeatureTable

FEATURES = "dualmode_features"


def register() -> None:
    """Have ESPnet know the type of data ``dualmode_features``; its own kaldi_ark runs commands and unpickles."""
    DATA_TYPES[FEATURES] = {"func": FeatureTable, "kwargs": [], "help": "feats.scp: FILE:OFFSET of Kaldi matrices"}
