"""Frozen dataclasses to JSON and back, with strict names and types."""

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from functools import cache
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")

_PLAIN: dict[type, tuple[type, ...]] = {int: (int,), float: (float, int), str: (str,), bool: (bool,)}
"""allowed JSON types by field type"""


def to_json(record: Any) -> dict[str, Any]:
    """A frozen dataclass as a JSON object: dates as ISO 8601, tuples as lists. TypeError for a value that is not
    JSON."""
    return cast(dict[str, Any], _to_json(asdict(record)))


def from_json(kind: type[T], kept: object) -> T:
    """The frozen dataclass `kind` from the result of `to_json`; ValueError names the wrong field.

    Field types, also of nested dataclasses: str, int from 0, float, bool, dates and times with a zone, X | None,
    tuple[X, ...] and Mapping[str, X]; Mapping[str, Any] is foreign JSON.
    """
    return cast(T, _from_json(kind, kept, kind.__name__))


def _to_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _to_json(element) for name, element in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(element) for element in value]
    if isinstance(value, date):  # datetimes are dates
        return value.isoformat()
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise TypeError(f"{value!r} is no JSON value")


def _from_json(kind: Any, kept: object, name: str) -> Any:
    origin = get_origin(kind)
    if is_dataclass(kind):
        return _record(cast(type, kind), kept, name)
    if origin is UnionType:
        return None if kept is None else _from_json(get_args(kind)[0], kept, name)
    if origin is tuple and isinstance(kept, list):
        of = get_args(kind)[0]
        return tuple(_from_json(of, element, f"{name}[{i}]") for i, element in enumerate(kept))
    if origin is Mapping and isinstance(kept, dict):
        of = get_args(kind)[1]
        return {key: _from_json(of, element, f"{name}[{key!r}]") for key, element in kept.items()}
    return kept if kind is Any else _plain(kind, kept, name)


def _plain(kind: Any, kept: object, name: str) -> Any:
    if kind in _PLAIN and type(kept) in _PLAIN[kind] and not (kind is int and cast(int, kept) < 0):
        return kind(kept)
    if kind in (date, datetime) and isinstance(kept, str):
        return _time(kind, kept, name)
    raise ValueError(f"{name} is {kept!r}")


def _record(kind: type, kept: object, name: str) -> Any:
    if not isinstance(kept, dict):
        raise ValueError(f"{name} is {kept!r}")
    known = _fields(kind)
    if odd := sorted(kept.keys() ^ known.keys()):
        raise ValueError(f"{name} has {odd[0]!r}, which is unknown" if odd[0] in kept else f"{name} lacks {odd[0]!r}")
    return kind(**{field: _from_json(known[field], kept[field], f"{name}.{field}") for field in known})


@cache
def _fields(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _time(kind: type[date], kept: str, name: str) -> date:
    time = kind.fromisoformat(kept)
    if isinstance(time, datetime) and time.tzinfo is None:
        raise ValueError(f"{name} is {kept!r}, a time of no zone")
    return time
