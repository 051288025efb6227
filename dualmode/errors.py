"""The exception for mistakes of users; it is that of :mod:`dualmode_runtime.errors`, the package below."""

from dualmode_runtime.errors import UserError

__all__ = ["UserError"]
