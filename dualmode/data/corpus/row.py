"""What every kind of corpus says about one utterance."""

from dataclasses import dataclass
from pathlib import Path

# Names that others give to the sets of a recipe.
SETS = {"dev": "valid", "validation": "valid", "val": "valid", "eval": "test"}


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
