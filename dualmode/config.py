"""From YAML's keys and values to a dataclass that has been checked: the one way in for every configuration."""

import math
import reprlib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from dualmode.errors import UserError
from dualmode.old_names import with_new_keys
from dualmode_runtime.cli import nearest

T = TypeVar("T")
LONGEST = 100  # values of a list in a configuration
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null"}


def from_mapping(cls: type[T], values: Mapping, where: str) -> T:
    """Build the dataclass ``cls`` from ``values``.

    Raises:
        UserError: an unknown or missing key, a value of another type than its field, or one that ``cls`` refuses; it is
            named.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{where} is {reprlib.repr(values)}: it must hold keys and values")
    values = with_new_keys(values, where)
    dataclass: Any = cls
    known = {field.name for field in fields(dataclass)}
    unknown = sorted(set(map(str, values)) - known)
    if unknown:
        meant = nearest(unknown[0], known)
        raise UserError(f"{where} has no key {unknown[0]!r}{meant or ''}; it knows {', '.join(sorted(known))}")
    for name, value in values.items():
        if isinstance(value, (list, tuple)) and len(value) > LONGEST:
            raise UserError(f"{where}: {name} lists {len(value)} values, more than {LONGEST}")
    needed = (field.name for field in fields(dataclass) if field.default is field.default_factory is MISSING)
    if lacking := [name for name in needed if name not in values]:
        raise UserError(f"{where} lacks {', '.join(lacking)}")
    try:
        config = cls(**values)
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise UserError(_misfit(cls, values, where) or f"{where}: {error}") from error
    if wrong := _misfit(cls, values, where):
        raise UserError(wrong)
    return config


def _misfit(cls: type, values: Mapping, where: str) -> str:
    """Return which value is of another type than its field, in a sentence, or ""."""
    hints = typing.get_type_hints(cls)
    for name, value in values.items():
        if not _fits(value, hints[name]):
            return f"{where}: {name} is {reprlib.repr(value)}: it must be {_kind(hints[name])}"
    return ""


def _fits(value: object, hint: Any) -> bool:
    """Whether a value of YAML is of a field's type; types that YAML has no word for are left to the field's class."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, part) for part in parts)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in _KINDS:
        return isinstance(value, hint)
    if origin in (Sequence, tuple, list):
        item = parts[0] if parts else Any
        return isinstance(value, (list, tuple)) and all(_fits(one, item) for one in value)
    return True


def _kind(hint: Any) -> str:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_kind(part) for part in parts)
    if origin in (Sequence, tuple, list):
        return f"a list, each of it {_kind(parts[0])}"
    return _KINDS.get(hint, str(hint))


def check_at_most(where: str, config: object, highest: int, *names: str) -> None:
    """Raise UserError for the first of the fields ``names`` that is larger than any machine can hold."""
    for name in names:
        if getattr(config, name) > highest:
            raise UserError(f"{where}: {name} is {getattr(config, name)}: it must be at most {highest}")


def check_at_least(where: str, config: object, lowest: float, *names: str) -> None:
    """Raise UserError for the first of the fields ``names`` that is no number of at least ``lowest``.

    Whole numbers are asked for where ``lowest`` is one.  True, false, NaN and infinity are no numbers.
    """
    for name in names:
        value = getattr(config, name)
        fits = isinstance(value, type(lowest) | int) and not isinstance(value, bool)
        if not fits or not lowest <= value < math.inf:
            kind = "whole number" if isinstance(lowest, int) else "number"
            raise UserError(f"{where}: {name} is {reprlib.repr(value)}: it must be a {kind} of at least {lowest:g}")
