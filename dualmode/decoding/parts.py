"""Parts of a decoding that is shared among jobs: what one was asked for, and whether it is there already."""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dualmode.decoding.inputs import Features, Recordings


def fingerprint(
    values: Any, utterances: Features | Recordings, names: Sequence[str], files: Iterable[str | os.PathLike]
) -> str:
    """Return a number that differs where anything differs that a part's transcripts depend on.

    Args:
        values: settings, as JSON has them.
        utterances: of the folder.
        names: those of the part.
        files: of the model and of the search; as all files here, by their size and time.
    """
    inputs = [(name, *utterances.file(name)) for name in names]
    read = sorted({*(file for _, file, _ in inputs), *(os.fspath(file) for file in files)})
    asked = [values, [(name, target) for name, _, target in inputs], [(file, *_size_and_time(file)) for file in read]]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _size_and_time(file: str) -> tuple[int, int]:
    try:
        found = os.stat(file)
    except OSError:
        return 0, 0  # the decoding says what is wrong with it
    return found.st_size, found.st_mtime_ns


def is_decoded(part: Path, asked: str) -> bool:
    """Return whether a folder has a part that was asked for the same; its decode.json was written last."""
    try:
        return json.loads((part / "decode.json").read_text(encoding="utf-8")).get("asked") == asked
    except (OSError, ValueError, AttributeError):
        return False
