"""From YAML's keys and values to a dataclass that has been checked: the one way in for every configuration."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from dualmode.errors import UserError
from dualmode.old_names import with_new_keys

T = TypeVar("T")


def from_mapping(cls: type[T], values: Mapping, where: str) -> T:
    """Build the dataclass ``cls`` from ``values``; an unknown or missing key is a UserError that names it."""
    values = with_new_keys(values, where)
    dataclass: Any = cls
    known = {field.name for field in fields(dataclass)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise UserError(f"{where} has no key {unknown[0]!r}; it knows {', '.join(sorted(known))}")
    try:
        return cls(**values)
    except TypeError as error:
        raise UserError(f"{where}: {error}") from error


def check_at_least(where: str, config: object, lowest: float, *names: str) -> None:
    """Raise UserError for the first of the fields ``names`` that is no number of at least ``lowest``.

    Whole numbers are asked for where ``lowest`` is one.  True and false are no numbers, and neither is NaN.
    """
    for name in names:
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, type(lowest) | int) or not value >= lowest:
            kind = "whole number" if isinstance(lowest, int) else "number"
            raise UserError(f"{where}: {name} is {value!r}: it must be a {kind} of at least {lowest:g}")
