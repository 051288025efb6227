"""What a decoding YAML may say, checked."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from dualmode.errors import UserError
from dualmode.models.placement import check_name
from dualmode.models.yaml_file import read_yaml
from dualmode.old_names import with_new_keys
from dualmode.search.config import SearchConfig

SUBNET: dict[str, Any] = {"sparsity": 0.0, "chunk_ms": None, "left_ms": None, "lookahead_ms": 0}
RUN: dict[str, Any] = {"batch_size": 1, "threads": 0, "precision": "fp32"}
PLACE: dict[str, Any] = {"device": "cpu"}
SEARCH = tuple(field.name for field in fields(SearchConfig))
PRECISIONS = ("fp32", "bf16")


def read_settings(path: Path) -> dict[str, Any]:
    """Return what the YAML says, with the defaults of SUBNET, RUN and PLACE filled in.

    Raises:
        UserError: a key is unknown, or a value impossible.
    """
    settings = with_new_keys(read_yaml(path), str(path))
    if unknown := sorted(set(settings) - {*SUBNET, *RUN, *PLACE, *SEARCH}):
        raise UserError(f"{path} has the key {unknown[0]!r}; it may hold {', '.join([*SUBNET, *RUN, *PLACE, *SEARCH])}")
    settings = {**SUBNET, **RUN, **PLACE, **settings}
    for key in SUBNET:
        value, optional = settings[key], key in ("chunk_ms", "left_ms")
        if not (isinstance(value, (int, float)) and not isinstance(value, bool)) and not (optional and value is None):
            raise UserError(f"{path}: {key} is {value!r}: it must be a number" + (" or null" if optional else ""))
    check_run(settings, f"{path}: ")
    try:
        search_of(settings)
        check_name(settings["device"])
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    if settings["precision"] == "bf16" and settings["chunk_ms"] is not None:
        raise UserError(f"{path}: precision bf16 is for the full context (chunk_ms: null); streams are decoded in fp32")
    return settings


def search_of(settings: Mapping[str, Any]) -> SearchConfig:
    """Return how settings search; a UserError for what cannot be."""
    return SearchConfig(**{key: settings[key] for key in SEARCH if key in settings})


def check_run(settings: Mapping[str, Any], where: str = "") -> None:
    """Raise UserError, which begins with ``where``, unless the keys of RUN have possible values."""
    for key, lowest in (("batch_size", 1), ("threads", 0)):
        value = settings[key]
        if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
            raise UserError(f"{where}{key} is {value!r}: it must be a whole number of at least {lowest}")
    if settings["precision"] not in PRECISIONS:
        raise UserError(f"{where}precision is {settings['precision']!r}: it must be one of {', '.join(PRECISIONS)}")
