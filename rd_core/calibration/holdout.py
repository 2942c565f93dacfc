"""Hold-out splits of normal images by whole parts, because images of one part resemble each other."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from rd_core.errors import ConfigError, TooFewNormals

MINIMUM_NORMALS = 8
NEW_CALIBRATION = 0.35
"""calibration's share of new parts: a quarter of a few parts is too few for a threshold"""
MINIMUM_PARTS = 3


@dataclass(frozen=True)
class Split:
    """Disjoint, ascending indices into the list of normals."""

    train: tuple[int, ...]
    early_stop: tuple[int, ...]
    calibration: tuple[int, ...]
    test: tuple[int, ...] = ()
    """held out from everything, to compare a candidate with the champion"""


def parts_of(names: Sequence[str], pattern: str | None) -> list[str]:
    """Derive the part that each image shows from its name.

    pattern: a regular expression with a group `part`; or with groups `view` and `serial`, for a camera that repeats
    the same views: in order of serial number a new part begins wherever the view does not rise. None, or a name that
    does not match: the image is its own part. Raises ConfigError for a pattern without these groups or one that
    matches no name.
    """
    if pattern is None:
        return list(names)
    expression = _compile(pattern)
    matches = [expression.search(name) for name in names]
    if names and not any(matches):
        raise ConfigError(
            f"the part pattern {pattern!r} matches none of {len(names)} names, such as {names[0]!r}: "
            "images of one part would fall on both sides of the split. Correct it, or leave it out if each image "
            "is a part."
        )
    if "part" in expression.groupindex:
        return [m["part"] if m and m["part"] else name for name, m in zip(names, matches, strict=True)]
    try:
        views = [(int(m["serial"]), int(m["view"]), i) for i, m in enumerate(matches) if m]
    except (ValueError, TypeError) as e:
        raise ConfigError(
            f"the part pattern {pattern!r} matches a view or serial that is no number, so parts have no order: {e}. "
            "Let both groups match digits only."
        ) from e
    parts = list(names)
    part, last_view = "", None
    for serial, view, index in sorted(views):
        if last_view is None or view <= last_view:
            part = f"part-{serial}"
        parts[index], last_view = part, view
    return parts


def split(
    names: Sequence[str],
    parts: Sequence[str],
    *,
    early_stop: float = 0.1,
    calibration: float = 0.25,
    test: float = 0.0,
    seed: int = 0,
) -> Split:
    """Assign whole parts to sets of about these shares; the rest trains. No set but `test` is empty.

    A part's set follows from the hash of its name, so it stays when images are added (except that a set that would be
    empty takes the nearest part). `test` takes from the training parts; it has a part unless that would leave none to
    train. Raises TooFewNormals below 8 images or 3 parts, ConfigError for shares that leave nothing to train.
    """
    _check(names, parts, early_stop, calibration, test)
    members: dict[str, list[int]] = defaultdict(list)
    for index, part in enumerate(parts):
        members[part].append(index)
    ranked = sorted((_position(part, seed), part) for part in members)
    first, second = (sum(p < bound for p, _ in ranked) for bound in (early_stop, early_stop + calibration))
    # Each set takes a run of the ranking: the bounds move just far enough to leave none empty.
    first = min(max(first, 1), len(ranked) - 2)
    second = min(max(second, first + 1), len(ranked) - 1)
    third = min(sum(p < 1 - test for p, _ in ranked), len(ranked) - 1) if test else len(ranked)
    third = max(third, second + 1)
    sets = ranked[second:third], ranked[:first], ranked[first:second], ranked[third:]
    return Split(*(tuple(sorted(i for _, part in chosen for i in members[part])) for chosen in sets))


def split_old_and_new(
    names: Sequence[str], parts: Sequence[str], is_new: Sequence[bool], *, test: float, seed: int = 0
) -> Split:
    """Split as `split`, with parts that are entirely new distributed over the sets on their own.

    Of the new parts, ordered by hash, 10 % stop early, 35 % calibrate and a share `test` is held out, each rounded
    and at least one; the rest trains. With fewer than 8 new parts, or too few old ones to split, this is `split`.
    Raises as `split`.
    """
    old_parts = {part for part, new in zip(parts, is_new, strict=True) if not new}
    old = [i for i, part in enumerate(parts) if part in old_parts]
    fresh = sorted({part for part in parts if part not in old_parts}, key=lambda part: _position(part, seed))
    if len(fresh) < MINIMUM_NORMALS or len(old) < MINIMUM_NORMALS or len(old_parts) < MINIMUM_PARTS:
        return split(names, parts, test=test, seed=seed)
    base = split([names[i] for i in old], [parts[i] for i in old], test=test, seed=seed)
    stop, held = (max(1, round(share * len(fresh))) for share in (0.1, NEW_CALIBRATION))
    last = len(fresh) - (max(1, round(test * len(fresh))) if test else 0)
    shares = fresh[stop + held : last], fresh[:stop], fresh[stop : stop + held], fresh[last:]
    return Split(
        *(
            _merged([old[i] for i in of_old], parts, set(of_new))
            for of_old, of_new in zip((base.train, base.early_stop, base.calibration, base.test), shares, strict=True)
        )
    )


def _merged(old: Sequence[int], parts: Sequence[str], new_parts: set[str]) -> tuple[int, ...]:
    return tuple(sorted([*old, *(i for i, part in enumerate(parts) if part in new_parts)]))


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        expression = re.compile(pattern)
    except re.error as e:
        raise ConfigError(f"the part pattern {pattern!r} is no regular expression: {e}. Correct it.") from e
    groups = set(expression.groupindex)
    if "part" not in groups and not {"view", "serial"} <= groups:
        raise ConfigError(
            f"the part pattern {pattern!r} has the groups {sorted(groups)}, which name no part. "
            "Give a group (?P<part>...), or both (?P<view>\\d+) and (?P<serial>\\d+)."
        )
    return expression


def _check(names: Sequence[str], parts: Sequence[str], early_stop: float, calibration: float, test: float) -> None:
    if not (early_stop > 0 and calibration > 0 and test >= 0 and early_stop + calibration + test < 1):
        raise ConfigError(
            f"early_stop {early_stop}, calibration {calibration} and test {test} leave a set empty. Give shares "
            "above 0, for test 0 or more, with a sum below 1."
        )
    if len(names) != len(parts):
        raise ValueError(f"{len(names)} names but {len(parts)} parts: they cannot be matched. Give a part for each.")
    count = len(set(parts))
    if len(names) < MINIMUM_NORMALS or count < MINIMUM_PARTS:
        raise TooFewNormals(
            f"{len(names)} normal images of {count} parts are too few: training, early stop and threshold need "
            f"separate images. Label at least {MINIMUM_NORMALS} normal images of {MINIMUM_PARTS} parts; "
            "for a threshold at alpha 0.01, 400."
        )


def _position(part: str, seed: int) -> float:
    """Map a part to [0, 1), uniformly, by the hash of its name."""
    digest = hashlib.sha256(f"{seed}/{part}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
