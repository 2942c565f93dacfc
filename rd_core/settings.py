"""Settings as frozen dataclasses: conversion from and to JSON, with checks."""

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Self, TypeVar, Union, get_args, get_origin, get_type_hints

from rd_core.errors import ConfigError

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

R = TypeVar("R")
_NAMES = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}


@dataclass(frozen=True)
class Record:
    """JSON round trip for frozen dataclasses of numbers, strings, choices, tuples and other records."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `json.dumps`; `from_dict` is the inverse."""
        plain: dict[str, Any] = _with_lists(asdict(self))
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build the record from `values`; missing fields take their defaults.

        Raises ConfigError for an unknown field (naming the nearest known one) or a value of the wrong type.
        """
        return _record(cls, values, cls.__name__)


def refuse_unknown(values: Iterable[str], known: Collection[str], owner: str) -> None:
    """Raise ConfigError for the first of `values` that is not in `known`."""
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."
            raise ConfigError(f"{owner} has no setting {name!r}, so it would be ignored. {hint}")


def check_ranges(record: object, ranges: Iterable[tuple[str, float, float]], consequence: str) -> None:
    """Raise ConfigError unless each named field of `record` is a number from its low to its high, both included.

    `consequence`: the effect beyond them, such as "where the gate would let everything pass".
    """
    for name, low, high in ranges:
        value = getattr(record, name)
        if not low <= value <= high:
            raise ConfigError(
                f"{name} = {value} lies outside {low:g} to {high:g}, {consequence}. Give a value between them."
            )


def _with_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_lists(item) for name, item in value.items()}
    return [_with_lists(item) for item in value] if isinstance(value, tuple) else value


def _record(kind: type[R], values: Any, where: str) -> R:
    if not isinstance(values, Mapping):
        raise _refusal(where, values, "it must be a table of settings")
    hints = get_type_hints(kind)
    refuse_unknown(values, [field.name for field in fields(kind)], where)  # type: ignore[arg-type]  # a dataclass
    return kind(**{name: _value(hints[name], value, f"{where}.{name}") for name, value in values.items()})


def _value(kind: Any, value: Any, where: str) -> Any:
    """Convert `value`, as JSON or TOML has it, to the type `kind`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        if not any(value == choice and type(value) is type(choice) for choice in arguments):
            raise _refusal(where, value, f"it must be one of {', '.join(map(repr, arguments))}")
        return value
    if origin in (Union, UnionType):
        (wanted,) = (choice for choice in arguments if choice is not NoneType)
        return None if value is None else _value(wanted, value, where)
    if origin is tuple:
        return _items(arguments, value, where)
    if is_dataclass(kind):
        return _record(kind, value, where)  # type: ignore[arg-type]  # a class, not one of its records
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise _refusal(where, value, f"it must be {_NAMES[kind]}")
    return value


def _items(kinds: tuple[Any, ...], values: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(values, list | tuple):
        raise _refusal(where, values, "it must be a list")
    wanted = kinds[:1] * len(values) if kinds[1:] == (...,) else kinds
    if len(wanted) != len(values):
        raise _refusal(where, values, f"it must have {len(wanted)} values")
    return tuple(
        _value(kind, value, f"{where}.{n}") for n, (kind, value) in enumerate(zip(wanted, values, strict=True))
    )


def _refusal(where: str, value: Any, why: str) -> ConfigError:
    return ConfigError(f"{where} = {value!r}: {why}. Nothing was built; correct the value.")
