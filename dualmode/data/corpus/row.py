"""What every kind of corpus says about one utterance."""

import re
from dataclasses import dataclass
from pathlib import Path

LONGEST_S = 1e8  # three years: what is longer is counted in something else than seconds
# Names that others give to the sets of a recipe.
SETS = {"dev": "valid", "validation": "valid", "val": "valid", "eval": "test"}
# A set is a folder below the one that is asked for, and a word of the recipe's options.
_SET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
SET_NAMES = "letters, digits, '_', '-' and '.', 100 at most, the first a letter or digit"


def set_of(name: str | None) -> str | None:
    """Return the set of a recipe that a corpus calls so, in letters of any size; another name stays as it is.

    >>> set_of("TEST"), set_of("Dev"), set_of("Broadcast"), set_of("")
    ('test', 'valid', 'Broadcast', None)
    """
    lower = (name or "").lower()
    return SETS.get(lower) or (lower if lower in ("train", "valid", "test") else name or None)


def is_set_name(name: str) -> bool:
    """Whether a set may be called so: :data:`SET_NAMES`.

    >>> [is_set_name(name) for name in ("test.clean", "../up", "/tmp/x", "a b", "")]
    [True, False, False, False, False]
    """
    return _SET_NAME.fullmatch(name) is not None


@dataclass(frozen=True)
class Row:
    """One utterance as its corpus describes it.

    Attributes:
        where: file and line, for messages.
        audio: its recording.
        text: transcript as it is there; None where there is none.
        speaker: None where nobody says.
        name: its id in the corpus; None where it has none.
        part: the set that the corpus puts it in ("train", "valid", "test" or another); None where it names none.
        start: where it begins in the recording, seconds.
        seconds: how long it is; None: to the end of the recording.
        channel: of the recording, from 0; None: as for all others.
        fault: why it cannot be used, if that is known already.
    """

    where: str
    audio: Path
    text: str | None
    speaker: str | None = None
    name: str | None = None
    part: str | None = None
    start: float = 0.0
    seconds: float | None = None
    channel: int | None = None
    fault: str | None = None
