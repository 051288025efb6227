"""Speech recognition models that are trained once and run twice."""

__version__ = "0.1.0"

from dualmode.old_names import install as _install_old_names

_install_old_names()
