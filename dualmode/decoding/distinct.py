"""An n-best list has no text twice: hypotheses of different tokens can be one text."""

from collections.abc import Callable, Iterable
from typing import TypeVar

Entry = TypeVar("Entry")


def distinct(entries: Iterable[Entry], text: Callable[[Entry], str], count: int) -> list[Entry]:
    """Return the first ``count`` entries of different texts; of entries of one text, the first.

    >>> distinct(["a", "A", "b", "c"], str.lower, 2)
    ['a', 'b']
    """
    found: dict[str, Entry] = {}
    for entry in entries:
        found.setdefault(text(entry), entry)
        if len(found) == count:
            break
    return list(found.values())
