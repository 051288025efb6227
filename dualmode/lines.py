"""Lines, words and blanks, by the one rule of :mod:`dualmode_runtime.lines`, the package below."""

from dualmode_runtime.lines import BLANK, check_blanks, is_unicode, printable, read_lines, words

__all__ = ["BLANK", "check_blanks", "is_unicode", "printable", "read_lines", "words"]
