"""The parts that images show, by their keys."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from rd_core.calibration.holdout import parts_of
from rd_core.errors import ConfigError
from storage.layout import production_day


def parts_of_keys(keys: Sequence[str], pattern: str | None, *, must_match: bool = False) -> list[str]:
    """The part of each image by the last part of its key: one rule for whatever trains, holds out or judges.

    Without a pattern, or with one that matches no name because it belongs to others, each image is a part of its
    own; `must_match`: ConfigError, as rd_core.calibration.holdout.parts_of, for one that matches no name. A pattern
    of view and serial tells parts within a production day: cameras count through anew every day.
    """
    if must_match:
        parts_of([PurePosixPath(key).name for key in keys], pattern)
    if pattern is None or "(?P<part>" in pattern:
        return _parts(keys, pattern)
    by_day = defaultdict(list)
    for key in keys:
        by_day[production_day(key)].append(key)
    part_of = {
        key: f"{day}/{part}"
        for day, own in by_day.items()
        for key, part in zip(own, _parts(own, pattern), strict=True)
    }
    return [part_of[key] for key in keys]


def _parts(keys: Sequence[str], pattern: str | None) -> list[str]:
    if pattern is None:
        return list(keys)
    names = [PurePosixPath(key).name for key in keys]
    try:
        parts = parts_of(names, pattern)
    except ConfigError:
        return list(keys)
    # A name that the pattern does not match may be there again, on another day or in another folder.
    return [part if re.search(pattern, name) else key for key, name, part in zip(keys, names, parts, strict=True)]


def images_by_part(keys: Sequence[str], pattern: str | None) -> tuple[int, ...]:
    """Number of images of each part, ascending."""
    return tuple(sorted(Counter(parts_of_keys(keys, pattern)).values()))
