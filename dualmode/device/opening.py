"""Device files for whole recordings: in the compiled engine, without PyTorch, or, where it is missing, in PyTorch."""

import os

from dualmode_runtime.engine import EngineMissing
from dualmode_runtime.recognizer import Recognizer


def open_recognizer(path: str | os.PathLike) -> Recognizer:
    """Open a device file as :func:`dualmode.device.fallback.open_device` does.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        return Recognizer.open(path)
    except EngineMissing as missing:
        from dualmode.device.fallback import open_in_torch  # PyTorch, which takes seconds to import

        return Recognizer(open_in_torch(path, missing))
