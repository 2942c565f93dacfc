"""The parts that images show, by their keys."""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from rd_core.calibration.holdout import parts_of
from rd_core.errors import ConfigError


def parts_of_keys(keys: Sequence[str], pattern: str | None) -> list[str]:
    """The part of each image by the last part of its key, as in training. Without a pattern, or with one that matches
    no name because it belongs to others, each image is a part of its own."""
    if pattern is None:
        return list(keys)
    try:
        return parts_of([PurePosixPath(key).name for key in keys], pattern)
    except ConfigError:
        return list(keys)


def images_by_part(keys: Sequence[str], pattern: str | None) -> tuple[int, ...]:
    """Number of images of each part, ascending."""
    return tuple(sorted(Counter(parts_of_keys(keys, pattern)).values()))
