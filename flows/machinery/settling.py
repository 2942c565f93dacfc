"""Waiting for tasks of which any may fail without costing the others."""

from collections.abc import Mapping
from typing import TypeVar

from prefect.futures import PrefectFuture

R = TypeVar("R")


def settle(futures: Mapping[str, PrefectFuture[R]]) -> tuple[dict[str, R], dict[str, Exception]]:
    """Wait for all: (results, what was raised instead) by name.

    Each future is asked for its result: waiting alone hides a task whose worker was killed for good.
    """
    results: dict[str, R] = {}
    problems: dict[str, Exception] = {}
    for name, future in futures.items():
        try:
            results[name] = future.result()
        except Exception as e:  # noqa: BLE001  # returned by name, and told by the caller; the others go on
            problems[name] = e
    return results, problems


def in_words(problem: Exception) -> str:
    """The message of our own errors; others with their type, since theirs are seldom whole sentences."""
    ours = type(problem).__module__.split(".")[0] in ("flows", "tasks", "rd_core", "storage")
    return str(problem) if ours else f"{type(problem).__name__}: {problem}"
