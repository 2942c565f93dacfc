"""Settings that must lie within bounds."""

from collections.abc import Iterable

from rd_core.errors import ConfigError


def check_ranges(record: object, ranges: Iterable[tuple[str, float, float]], consequence: str) -> None:
    """ConfigError unless each named field of `record` is a number from its low to its high, both included.

    `consequence`: what would be beyond, as "where the gate would let everything pass".
    """
    for name, low, high in ranges:
        value = getattr(record, name)
        if not low <= value <= high:
            raise ConfigError(
                f"{name} = {value} lies outside {low:g} to {high:g}, {consequence}. Give a value between them."
            )
