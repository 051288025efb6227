"""Runs device files: a streaming speech recogniser in one file, from Python, without PyTorch.

>>> from dualmode_runtime import Recognizer                                     # doctest: +SKIP
>>> Recognizer.open("model.dmdl").transcribe("speech.wav").text                 # doctest: +SKIP
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dualmode_runtime.recognizer import Recognizer

__version__ = "0.1.0"
__all__ = ["Recognizer", "__version__"]


def __getattr__(name: str):
    """Import the recogniser, and NumPy with it, when it is asked for."""
    if name == "Recognizer":
        from dualmode_runtime.recognizer import Recognizer

        return Recognizer
    raise AttributeError(f"module 'dualmode_runtime' has no attribute {name!r}")
