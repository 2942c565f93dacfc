"""Hold-out splits of normal images, by counts and by whole parts, because images of one part resemble each other."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from rd_core.errors import ConfigError, TooFewNormals

MINIMUM_NORMALS = 8
EARLY_STOP, CALIBRATION = 0.1, 0.25
"""shares of the images"""
NEW_CALIBRATION = 0.35
"""calibration's share of new parts: a quarter of a few parts is too few for a threshold"""
MINIMUM_PARTS = 3
LEAST_PARTS = 3
"""in early stop and in calibration: one odd image or part must not decide alone when training ends"""


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
    early_stop: float = EARLY_STOP,
    calibration: float = CALIBRATION,
    test: float = 0.0,
    seed: int = 0,
) -> Split:
    """Assign whole parts to sets with about these shares of the images; the rest trains.

    Parts are ranked by the hash of their name, and each set takes a run of the ranking: added images move only parts
    at the bounds. Early stop and calibration have at least 3 parts each, fewer only where they would leave less than
    half to train, but one. `calibration` 0 leaves that set empty, for cross-fitting. `test` takes from the training
    parts; it has a part unless that would leave none to train. Raises TooFewNormals below 8 images or 3 parts,
    ConfigError for shares that leave nothing to train.
    """
    _check(names, parts, early_stop, calibration, test)
    members = _members(parts)
    held_out = 2 if calibration else 1
    least = min(LEAST_PARTS, max(1, len(members) // (2 * held_out)))
    return _runs(members, (early_stop, calibration, test), least, seed)


def split_old_and_new(
    names: Sequence[str],
    parts: Sequence[str],
    is_new: Sequence[bool],
    *,
    test: float,
    calibration: float = CALIBRATION,
    seed: int = 0,
) -> Split:
    """Split as `split`, with parts that are entirely new distributed over the sets on their own.

    Of the new parts' images 10 % stop early, 35 % calibrate (none where `calibration` is 0) and a share `test` is
    held out, by whole parts and at least one; the rest trains. With fewer than 8 new parts, or too few old ones to
    split, this is `split`. Raises as `split`.
    """
    old_parts = {part for part, new in zip(parts, is_new, strict=True) if not new}
    old = [i for i, part in enumerate(parts) if part in old_parts]
    fresh = {part: of for part, of in _members(parts).items() if part not in old_parts}
    if len(fresh) < MINIMUM_NORMALS or len(old) < MINIMUM_NORMALS or len(old_parts) < MINIMUM_PARTS:
        return split(names, parts, calibration=calibration, test=test, seed=seed)
    base = split([names[i] for i in old], [parts[i] for i in old], calibration=calibration, test=test, seed=seed)
    added = _runs(fresh, (EARLY_STOP, NEW_CALIBRATION if calibration else 0.0, test), 1, seed)
    sets = ("train", "early_stop", "calibration", "test")
    return Split(*(tuple(sorted([*(old[i] for i in getattr(base, s)), *getattr(added, s)])) for s in sets))


def with_learned(split: Split, parts: Sequence[str], learned: Collection[int]) -> Split | None:
    """The split for weights that have learnt from these images: what shows their parts trains, wherever it was, so
    that no threshold rests on scores that are too low. None if less than half of the images to stop early or of those
    to calibrate remains."""
    known = {parts[number] for number in learned}
    early_stop, calibration, test = (
        tuple(number for number in some if parts[number] not in known)
        for some in (split.early_stop, split.calibration, split.test)
    )
    if 2 * len(early_stop) < len(split.early_stop) or 2 * len(calibration) < len(split.calibration):
        return None
    train = sorted({*range(len(parts))} - {*early_stop, *calibration, *test})
    return Split(tuple(train), early_stop, calibration, test)


def _members(parts: Sequence[str]) -> dict[str, list[int]]:
    """Indices by part."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, part in enumerate(parts):
        members[part].append(index)
    return members


def _runs(members: Mapping[str, list[int]], shares: tuple[float, float, float], least: int, seed: int) -> Split:
    """Runs of the ranking for early stop, calibration and test (a share of 0: no run), and between the last two, for
    training."""
    ranked = sorted(members, key=lambda part: (_position(part, seed), part))
    sizes = [len(members[part]) for part in ranked]
    early_stop, calibration, test = (share * sum(sizes) for share in shares)
    reserved = 1 + (least if calibration else 0)
    first = min(max(_nearest(sizes, early_stop), least), len(ranked) - reserved)
    second = first
    if calibration:
        second = min(first + max(_nearest(sizes[first:], calibration), least), len(ranked) - 1)
    third = len(ranked)
    if test:
        third = max(third - max(_nearest(sizes[::-1], test), 1), second + 1)
    runs = ranked[second:third], ranked[:first], ranked[first:second], ranked[third:]
    return Split(*(tuple(sorted(i for part in run for i in members[part])) for run in runs))


def _nearest(sizes: Sequence[int], images: float) -> int:
    """How many leading parts of `sizes` images have together most nearly so many."""
    sums = list(accumulate(sizes, initial=0))
    return min(range(len(sums)), key=lambda count: abs(sums[count] - images))


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
    if not (early_stop > 0 and calibration >= 0 and test >= 0 and early_stop + calibration + test < 1):
        raise ConfigError(
            f"early_stop {early_stop}, calibration {calibration} and test {test} leave a set empty. Give shares "
            "of 0 or more, for early_stop above 0, with a sum below 1."
        )
    if len(names) != len(parts):
        raise ValueError(f"{len(names)} names but {len(parts)} parts: they cannot be matched. Give a part for each.")
    count = len(set(parts))
    if len(names) < MINIMUM_NORMALS or count < MINIMUM_PARTS:
        raise TooFewNormals(
            f"{len(names)} normal image{'s' * (len(names) != 1)} of {count} part{'s' * (count != 1)} are too few: "
            "training, early stop and threshold need separate images. Label at least "
            f"{MINIMUM_NORMALS} normal images of {MINIMUM_PARTS} parts; for a threshold at alpha 0.01, 100 or more."
        )


def _position(part: str, seed: int) -> float:
    """Map a part to [0, 1), uniformly, by the hash of its name."""
    digest = hashlib.sha256(f"{seed}/{part}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
