"""Checkpoints that are whole or not there, and that hold data alone.

What ESPnet does: its training loop calls ``torch.save(state, path)``, which writes to that name from the first byte on.
Why that is wrong for us: a training killed inside torch.save leaves half a ``checkpoint.pth`` in place of the last good
one, and cannot be resumed.
What ours does: the loop's module, and no other one, sees a ``torch`` whose ``save`` writes to a temporary name and
renames.  Its ``load`` takes tensors and plain values only, and those that were written: ESPnet would run what a
checkpoint.pth from somewhere else pickles.  Our own files use :func:`dualmode.models.weights.save_checkpoint`
themselves.
"""

import contextlib
import datetime
import pickle
from collections.abc import Iterator
from zipfile import BadZipFile

import espnet2.train.trainer as espnet
import numpy as np
import torch

from dualmode.errors import UserError
from dualmode.models.weights import STEP_STATE, check_sums, save_checkpoint

# What ESPnet's reporter keeps its means and times in.
KINDS = {type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "?")}
NUMBERS = [datetime.timedelta, np.float64(0).__reduce__()[0], np.dtype, *KINDS]


def load_checkpoint(path, *args, **kwargs):
    """Return what torch.load reads of a training's checkpoint, tensors and numbers alone; others are a UserError."""
    try:
        check_sums(path)
        with torch.serialization.safe_globals(NUMBERS):
            return torch.load(path, *args, **{**kwargs, "weights_only": True})
    except (pickle.UnpicklingError, EOFError, RuntimeError, BadZipFile) as error:
        if isinstance(error, RuntimeError) and "PytorchStreamReader" not in str(error):
            raise  # of a GPU, say: the file may be good
        raise UserError(
            f"{path} holds more than tensors and numbers, or is damaged, and is not loaded: train into another "
            f"folder, from its last epoch if you like (--init), or remove it, {STEP_STATE} "
            "and *epoch.pth to train from the start"
        ) from None


class _Torch:
    """All of torch, but for ``save`` and ``load``."""

    def __getattr__(self, name: str):
        return getattr(torch, name)

    save = staticmethod(save_checkpoint)
    load = staticmethod(load_checkpoint)


@contextlib.contextmanager
def whole_checkpoints() -> Iterator[None]:
    """Put that ``torch`` into espnet2.train.trainer."""
    theirs = espnet.torch
    espnet.torch = _Torch()
    try:
        yield
    finally:
        espnet.torch = theirs
