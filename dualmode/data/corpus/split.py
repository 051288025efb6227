"""Which speakers of a corpus without sets of its own become valid and test."""

import hashlib
from collections.abc import Iterable


def drawn(seed: int, name: str) -> bytes:
    """Return what speakers, or utterances, are sorted by: it depends on the seed and the name alone."""
    return hashlib.sha256(f"{seed} {name}".encode()).digest()


def take_share(sizes: Iterable[tuple[str, float]], wanted: float) -> list[str]:
    """Take speakers (or utterances) in the order given until there are ``wanted`` seconds of them; one at least.

    One that would make the set more than twice as large is passed over, unless all would: then it is the smallest.

    >>> take_share([("a", 50.0), ("b", 15.0), ("c", 10.0), ("d", 25.0)], wanted=20.0)
    ['b', 'c']
    """
    taken, total, smallest = [], 0.0, ("", float("inf"))
    for name, size in sizes:
        if total < wanted and total + size <= 2 * wanted:
            taken.append(name)
            total += size
        smallest = min(smallest, (name, size), key=lambda one: one[1])
    return taken or [smallest[0]]
