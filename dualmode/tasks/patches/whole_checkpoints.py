"""Checkpoints that are whole or not there.

What ESPnet does: its training loop calls ``torch.save(state, path)``, which writes to that name from the first byte on.
Why that is wrong for us: a training killed inside torch.save leaves half a ``checkpoint.pth`` in place of the last good
one, and cannot be resumed.
What ours does: the loop's module, and no other one, sees a ``torch`` whose ``save`` writes to a temporary name and
renames.  Our own files use :func:`dualmode.files.atomic_path` themselves.
"""

import contextlib
import os
from collections.abc import Iterator

import espnet2.train.trainer as espnet
import torch

from dualmode.files import atomic_path


class _Torch:
    """All of torch, but for ``save``."""

    def __getattr__(self, name: str):
        return getattr(torch, name)

    @staticmethod
    def save(value, path, *args, **kwargs) -> None:
        if not isinstance(path, (str, os.PathLike)):
            return torch.save(value, path, *args, **kwargs)
        with atomic_path(path) as temporary:
            torch.save(value, temporary, *args, **kwargs)


@contextlib.contextmanager
def whole_checkpoints() -> Iterator[None]:
    """Put that ``torch`` into espnet2.train.trainer."""
    theirs = espnet.torch
    espnet.torch = _Torch()
    try:
        yield
    finally:
        espnet.torch = theirs
