"""Speech recognition models that are trained once and run twice.

>>> from dualmode import Recognizer                                             # doctest: +SKIP
>>> Recognizer.from_pretrained("exp/asr_base").transcribe("speech.wav").text    # doctest: +SKIP
"""

import os
import sys
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# ``python -m dualmode.bin.X`` looks for modules in the current folder first, where a torch.py may lie beside the data.
if sys.argv[:1] == ["-m"] and sys.path[:1] in ([""], [os.getcwd()]) and os.getcwd() != os.path.dirname(__path__[0]):
    del sys.path[0]

from dualmode.old_names import install as _install_old_names

if TYPE_CHECKING:
    from dualmode.recognizer import Recognizer

__all__ = ["Recognizer", "__version__"]

_install_old_names()


def __getattr__(name: str):
    """Import the recogniser, and torch with it, when it is asked for."""
    if name == "Recognizer":
        from dualmode.recognizer import Recognizer

        return Recognizer
    raise AttributeError(f"module 'dualmode' has no attribute {name!r}")
