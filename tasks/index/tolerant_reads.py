"""Parallel reads that report unreadable objects and go on."""

import math
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any, TypeVar

from storage.errors import KeyNotFound, StorageError

T = TypeVar("T")
FOREIGN = (KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)
"""errors of JSON of another shape"""
_MOST_WORDS = 300


def read_all(pool: Executor, reads: Mapping[str, Callable[[], T]]) -> tuple[dict[str, T], dict[str, str]]:
    """(contents, reasons of unreadable ones), both by key. Objects that have disappeared are in neither."""
    read: dict[str, T] = {}
    unreadable: dict[str, str] = {}
    futures = {key: pool.submit(job) for key, job in reads.items()}
    for key, future in futures.items():
        try:
            read[key] = future.result()
        except KeyNotFound:
            continue
        except StorageError as e:
            unreadable[key] = str(e)[:_MOST_WORDS]
        except FOREIGN as e:
            unreadable[key] = foreign(e)
    return read, unreadable


def foreign(error: Exception) -> str:
    """Why an object of another shape was left out."""
    return f"This is not what its name promises ({error!r}".strip()[:_MOST_WORDS] + "), so it was left out."


def number(value: Any) -> float:
    """`value` as a finite float. Raises TypeError, ValueError, OverflowError."""
    converted = float(value)
    if isinstance(value, str | bool) or not math.isfinite(converted):
        raise ValueError(f"{value!r} is no finite number")
    return converted


def whole_number(value: Any) -> int:
    """`value` if it is a count. Raises ValueError."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


def text(value: Any) -> str:
    """`value` if it is text. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def text_or_none(value: Any) -> str | None:
    """`value` if it is text or null. Raises ValueError."""
    return None if value is None else text(value)
