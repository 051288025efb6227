"""Sub-networks as :mod:`dualmode_runtime.subnet` names them: which weights, and which context."""

from dualmode_runtime.subnet import DENSE, Context, Subnet

__all__ = ["DENSE", "Context", "Subnet"]
