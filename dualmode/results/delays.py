"""Emission delays in the results: ``decode_*/emission_delay.json``, as dualmode emission-delay leaves it."""

import json
from pathlib import Path
from typing import Any

from dualmode.errors import UserError

STATISTICS, FIGURE = "emission_delay.json", "emission_delay.png"
KINDS = {
    "word": "end of a recognised word to its last token",
    "first_token": "beginning of the first word to the first token",
    "last_token": "end of the last word to the last token",
}
FIELDS = ("count", "mean_ms", "p50_ms", "p90_ms")

DelayStatistics = dict[str, dict[str, float] | None]


def read_delays(path: Path) -> DelayStatistics | None:
    """Return the statistics by kind (see :data:`KINDS`); None where the file does not exist: they were not measured.

    Raises:
        UserError: the file is damaged.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); run dualmode emission-delay again") from error
    if not isinstance(found, dict) or set(found) != set(KINDS) or not all(map(_complete, found.values())):
        raise UserError(f"{path} must hold {', '.join(FIELDS)} of {', '.join(KINDS)}; run dualmode emission-delay")
    return found


def _complete(statistics: Any) -> bool:
    if statistics is None:
        return True
    return isinstance(statistics, dict) and all(isinstance(statistics.get(field), int | float) for field in FIELDS)
