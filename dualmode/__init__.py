"""Speech recognition models that are trained once and run twice."""

import os
import sys

__version__ = "0.1.0"

# ``python -m dualmode.bin.X`` looks for modules in the current folder first, where a torch.py may lie beside the data.
if sys.argv[:1] == ["-m"] and sys.path[:1] in ([""], [os.getcwd()]) and os.getcwd() != os.path.dirname(__path__[0]):
    del sys.path[0]

from dualmode.old_names import install as _install_old_names

_install_old_names()
