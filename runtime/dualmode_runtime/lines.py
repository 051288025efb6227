"""Lines, words and blanks: one rule for every list of ours, whoever reads it.

A line ends with a newline; words and fields are separated by spaces and tabs; an id has neither.  Other programs take
more for a blank or the end of a line (Python's ``str.split``, and with it ESPnet's readers, 26 characters more), so
that a transcript would be other words for a training than for its score.  Such characters are refused by name where a
list is read, and what is behind may trust that there are none.
"""

import re
import unicodedata
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path

from dualmode_runtime.errors import UserError

BLANK = re.compile("[ \t]+")
_LINE_END = "\0\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_OTHER_BLANK = "\x1f\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
_ODD = re.compile(f"[{_LINE_END}{_OTHER_BLANK}]")
_ENDS = re.compile(f"[{_LINE_END}]")
# What drives a terminal, or turns the direction of what is printed around.
_DRIVES = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def words(text: str) -> list[str]:
    """Return the words of a text.

    >>> words(" turn\\ton  the light ")
    ['turn', 'on', 'the', 'light']
    """
    return [word for word in BLANK.split(text) if word]


def is_unicode(text: str) -> bool:
    """Return whether a text can be written as UTF-8: it has no halves of a pair of surrogates.

    They come from names of files in another encoding, and from escapes in JSON.

    >>> is_unicode("\\u00e4"), is_unicode("\\udce4")
    (True, False)
    """
    if text.isascii():  # most are, and this is asked of every field of every line
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def check_blanks(text: str, where: str, path: bool = False) -> None:
    """Raise UserError for a character that is a blank, or the end of a line, for some programs only.

    Args:
        text: of a line.
        where: begins the sentence: "data/text:7".
        path: names a file, which may have a no-break space in its name.
    """
    odd = (_ENDS if path else _ODD).search(text)
    if odd:
        char = odd.group()
        what, remedy = ("ends a line", "take it out") if char in _LINE_END else ("is a blank", "write a space")
        name = unicodedata.name(char, "")
        raise UserError(
            f"{where}: {char!r}{name and f' ({name})'} at column {odd.start() + 1} {what} for some programs and not "
            f"for others: {remedy}"
        )


def read_lines(path: Path, complete: bool = True) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end), one line in memory at a time; blanks are left to check.

    Args:
        complete: whether a last line without its end and lines that end as Windows does (CR LF) are refused.

    Raises:
        UserError: it begins with a byte-order mark, or is not UTF-8.
    """
    with open(path, "rb") as file:
        for number, raw in enumerate(file, start=1):
            if complete and not raw.endswith(b"\n"):
                raise UserError(
                    f"{path}: the last line has no end, the file may be cut off: complete it or add a newline"
                )
            if complete and raw.endswith(b"\r\n"):
                raise UserError(f"{path}:{number}: Windows line end (CR LF): convert the file with dos2unix")
            if number == 1 and raw.startswith(BOM_UTF8):
                raise UserError(f"{path} starts with a byte-order mark, an invisible sign: save it as plain UTF-8")
            try:
                line = raw.removesuffix(b"\n").decode("utf-8")
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{path}:{number}: byte 0x{raw[error.start]:02x} at column {error.start + 1} is not UTF-8: "
                    "convert the file, such as with iconv -f LATIN1 -t UTF-8"
                ) from None
            yield number, line if complete else line.removesuffix("\r")


def printable(text: str) -> str:
    r"""Return ``text`` with what would drive a terminal written as JSON writes it; newlines and tabs stay.

    >>> print(printable("go\x1b[2J on"))
    go\u001b[2J on
    """
    return _DRIVES.sub(lambda sign: f"\\u{ord(sign.group()):04x}", text)
