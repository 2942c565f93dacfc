"""Choosing the normals that a category's next model is trained on."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from rd_core.calibration.robust_outliers import robust_z
from rd_core.errors import ConfigError
from rd_core.pictures.near_duplicates import MOST_BITS
from storage.errors import OF_ONE_OBJECT
from storage.filesystem import Store, open_store
from storage.labels import labels
from storage.layout import production_day
from storage.models import models
from storage.models.card import ModelCard
from tasks.retraining.considered_normals import (
    CONTRADICTION,
    DAY_IS_FULL,
    LABEL_CHANGED,
    NEAR_DUPLICATE,
    NEW,
    NOT_REPLAYED,
    PART_IS_FULL,
    QUARANTINED,
    REPLAYED,
    TOO_OLD,
    UNREADABLE,
    USED,
    ConsideredNormal,
    write_considered,
)
from tasks.retraining.scored_normals import ScoredNormal, find_duplicates, hashes_of, log_scores, score_normals
from tasks.training.parts import parts_of_keys
from tasks.worker.faults import ON_STORAGE_FAULT
from tasks.worker.progress import tell_phase
from tasks.worker.scorer import warm_scorer
from tasks.worker.worker_process import prepare_worker_process


@dataclass(frozen=True)
class GatherLimits:
    """The limits of a retraining."""

    fewest_new: int = 16
    """new normals after all guards; with fewer, no candidate is made"""
    most_age_days: int = 180
    """of a new normal"""
    most_per_part: int = 20
    """new normals of one part"""
    most_per_day: int = 200
    """new normals of one production day"""
    most_replayed: int = 1000
    """of the champion's normals"""
    most_outlying: float = 3.5
    """robust z among the day's new normals above which one over the champion's threshold is quarantined"""
    most_bits: int = MOST_BITS
    """differing bits, of 256, in the hashes of near-duplicates"""

    def __post_init__(self) -> None:
        least = {"fewest_new": 8, "most_age_days": 1, "most_per_part": 1, "most_per_day": 1}
        for name, value in vars(self).items():
            if value < least.get(name, 0):
                raise ConfigError(
                    f"{name} = {value} is below {least.get(name, 0)}: there would be nothing to retrain on. "
                    "Give more, or leave it out."
                )


@dataclass(frozen=True)
class GatherOrder:
    """The category, and the keys of the result."""

    category: str
    champion: str
    """version in force"""
    part_pattern: str | None
    today: date
    """reference of ages"""
    key: str
    """of the table to write"""
    limits: GatherLimits
    settings: str = ""
    """all other inputs of a candidate, as text: equal inputs give an equal candidate"""


@dataclass(frozen=True)
class GatheredNormals:
    """The result of gathering."""

    category: str
    champion: str
    key: str
    """of the table of all considered normals; see tasks.retraining.considered_normals"""
    counts: dict[str, int]
    """number of images by state"""
    above_threshold: int
    """number of used new ones above the champion's threshold; after a lasting change of light, all"""
    message: str | None
    """why no candidate is made; None if there are enough"""
    digest: str = ""
    """SHA-256 of champion, settings, used images and judging labels: all that decides a candidate's outcome"""

    @property
    def new(self) -> int:
        return self.counts.get(NEW, 0)

    @property
    def replayed(self) -> int:
        return self.counts.get(REPLAYED, 0)


@task(name="gather-normals", task_run_name="gather {order.category}", cache_policy=NO_CACHE, **ON_STORAGE_FAULT)
def gather_normals(store_uri: str, images_uri: str, order: GatherOrder) -> GatheredNormals:
    """Choose the normals, and write every considered one with its reason.

    Equal labels and images give an equal choice. Left out are new normals that are contradicted, too old, unreadable,
    near-duplicates or suspicious; then each part and day is limited to its share.
    """
    prepare_worker_process()
    store, images = open_store(store_uri), open_store(images_uri, read_only=True)
    card = models.read_card(store, order.category, order.champion)
    learned = models.read_card(store, order.category, card.weights_version)
    rows = _labelled(store, order, card, learned)
    _leave_contradictions(rows, labels.contradictions(labels.read_label_history(store, order.category)))
    _leave_too_old(rows, order)
    threshold = _look_at_new(store, images, rows, order, learned)
    _keep_shares(rows, order.limits)
    considered = list(rows.values())
    write_considered(store, order.key, considered)
    counts = Counter(row.state for row in considered)
    above = sum(row.state == NEW and row.score is not None and row.score > threshold for row in considered)
    digest = _digest(store, order, considered)
    message = _too_few(order, counts, sum(row.is_new for row in considered)) or _judged_before(store, order, digest)
    get_run_logger().info(
        "normals gathered category=%s champion=%s enough=%s above_threshold=%d %s",
        order.category, order.champion, message is None, above,
        " ".join(f"{state.replace(' ', '_')}={count}" for state, count in sorted(counts.items())),
    )  # fmt: skip
    tell_phase(order.category, "gathered", done=1, total=1)
    return GatheredNormals(order.category, order.champion, order.key, dict(counts), above, message, digest)


def _labelled(store: Store, order: GatherOrder, card: ModelCard, learned: ModelCard) -> dict[str, ConsideredNormal]:
    """The new normals, and the old ones, by key, before any guard.

    card: the champion's. learned: that of the training behind its weights; what only set a threshold since is new.
    """
    table = {row["image_key"]: row for row in labels.read_labels(store, order.category).to_pylist()}
    may_train = {key for key, row in table.items() if (row["label"], row["purpose"]) == ("normal", "training")}
    set_aside = {**card.images.set_aside, **learned.images.set_aside}
    looked_at = dict.fromkeys(card.images.set_aside, card.created_at)
    looked_at |= dict.fromkeys(learned.images.set_aside, learned.created_at)
    looked_again = {key for key, at in looked_at.items() if key in may_train and table[key]["labelled_at"] > at}
    known = {*learned.images.used, *set_aside} - looked_again
    aside = {*known, *learned.images.duplicates}
    chosen = sorted(may_train - aside) + sorted(known)
    parts = parts_of_keys(chosen, order.part_pattern, must_match=True)
    rows = {}
    for key, part in zip(chosen, parts, strict=True):
        label, is_new = table.get(key), key not in aside
        when = label["labelled_at"] if label else None
        day = production_day(key) or (when.date() if when else order.today)
        row = ConsideredNormal(
            key, NEW if is_new else REPLAYED, None, is_new, day, part, label["labelled_by"] if label else None, when
        )
        if key in set_aside and not is_new:
            row = _left(row, QUARANTINED, set_aside[key])
        if key not in may_train and (label is not None or not learned.images.unlabelled):
            kept = label is not None and label["label"] == "normal"
            why = "it is kept to judge models by now" if kept else "nobody calls it normal any more"
            row = _left(row, LABEL_CHANGED, f"The champion was made with it, but {why}.")
        rows[key] = row
    return rows


def _left(row: ConsideredNormal, state: str, why: str, **more: Any) -> ConsideredNormal:
    return replace(row, state=state, why=why, **more)


def _leave_contradictions(rows: dict[str, ConsideredNormal], contradictions: Iterable[labels.Contradiction]) -> None:
    for contradiction in contradictions:
        if contradiction.image_key in rows:
            words = ", ".join(f"{who or 'somebody without a name'}: {word}" for who, word, _ in contradiction.words)
            why = f"People disagree ({words}). Let one of them look again."
            rows[contradiction.image_key] = _left(rows[contradiction.image_key], CONTRADICTION, why)


def _leave_too_old(rows: dict[str, ConsideredNormal], order: GatherOrder) -> None:
    for row in _new(rows):
        age = (order.today - row.day).days
        if age > order.limits.most_age_days:
            why = f"It is {age} days old; {order.limits.most_age_days} are allowed."
            rows[row.image_key] = _left(row, TOO_OLD, why)


def _new(rows: Mapping[str, ConsideredNormal]) -> list[ConsideredNormal]:
    """Those not excluded yet, the first labelled first."""
    new = [row for row in rows.values() if row.state == NEW]
    return sorted(new, key=lambda row: (row.labelled_at is None, row.labelled_at, row.image_key))


def _look_at_new(
    store: Store, images: Store, rows: dict[str, ConsideredNormal], order: GatherOrder, learned: ModelCard
) -> float:
    """Reads, compares and scores the new ones with the champion; returns its threshold."""
    keys = [row.image_key for row in _new(rows)]
    scorer = warm_scorer(store, order.category, order.champion)
    scored = score_normals(images, scorer, keys)
    for image in scored:
        row = replace(rows[image.key], score=image.score)
        rows[image.key] = row if image.why is None else _left(row, UNREADABLE, image.why)
    readable = [image for image in scored if image.why is None]
    _leave_twins(
        rows, readable, hashes_of(images, scorer, _known(store, order, rows, learned)), order.limits.most_bits
    )
    threshold = float(scorer.threshold)
    _quarantine(rows, [image for image in readable if rows[image.key].state == NEW], threshold, order.limits)
    return threshold


def _known(store: Store, order: GatherOrder, rows: Mapping[str, ConsideredNormal], learned: ModelCard) -> list[str]:
    """Images that new normals must not copy: the champion's own, and those that judge it."""
    table = labels.read_labels(store, order.category).to_pylist()
    own = {key for key in learned.images.used if not rows[key].is_new}
    return sorted({*own, *(row["image_key"] for row in table if row["purpose"] == "evaluation")})


def _leave_twins(
    rows: dict[str, ConsideredNormal], scored: Sequence[ScoredNormal], known: Mapping[str, Any], most_bits: int
) -> None:
    for key, twin in find_duplicates(scored, known, most_bits).items():
        of = "that the champion was made with or that judges it" if twin in known else "that is new as well"
        why = f"It shows the same as {twin}, {of}: twice the same teaches nothing and flatters the figures."
        rows[key] = _left(rows[key], NEAR_DUPLICATE, why, other_key=twin)


def _quarantine(
    rows: dict[str, ConsideredNormal], scored: Sequence[ScoredNormal], threshold: float, limits: GatherLimits
) -> None:
    """A score above the threshold alone is no sign: after a lasting change of light all are above. Wrong labels also
    stand out within their day."""
    standing = robust_z(log_scores(scored), [rows[image.key].day.toordinal() for image in scored])
    for image, z in zip(scored, standing, strict=True):
        row = rows[image.key] = replace(rows[image.key], outlying=float(z))
        if image.score is not None and image.score > threshold and z > limits.most_outlying:
            why = (
                f"The champion scores it {image.score:.4g}, above its threshold of {threshold:.4g} and {z:.1f} "
                f"robust standard deviations above its day's other new normals ({limits.most_outlying:g} are "
                "allowed). Look whether it is normal."
            )
            rows[image.key] = _left(row, QUARANTINED, why)


def _keep_shares(rows: dict[str, ConsideredNormal], limits: GatherLimits) -> None:
    """Of more than a share, those with the lowest hashes are used, independent of the order of reading."""
    shares: tuple[tuple[str, str, int], ...] = (
        ("part", PART_IS_FULL, limits.most_per_part),
        ("day", DAY_IS_FULL, limits.most_per_day),
    )
    for name, state, most in shares:
        members: dict[Any, list[ConsideredNormal]] = defaultdict(list)
        for row in _new(rows):
            members[getattr(row, name)].append(row)
        for value, group in members.items():
            for row in sorted(group, key=_by_hash)[most:]:
                why = f"{len(group)} new normals are of {name} {value}; {most} are used."
                rows[row.image_key] = _left(row, state, why)
    old = sorted((row for row in rows.values() if row.state == REPLAYED), key=_by_hash)
    for row in old[limits.most_replayed :]:
        why = f"The champion was made with {len(old)}; {limits.most_replayed} are used again."
        rows[row.image_key] = _left(row, NOT_REPLAYED, why)


def _by_hash(row: ConsideredNormal) -> str:
    return hashlib.sha256(row.image_key.encode("utf-8", "surrogateescape")).hexdigest()


def _too_few(order: GatherOrder, counts: Mapping[str, int], labelled: int) -> str | None:
    new = counts.get(NEW, 0)
    if new >= order.limits.fewest_new:
        return None
    taken = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()) if state not in (NEW, REPLAYED))
    return (
        f"{new} new normals of {order.category} can be used and {order.limits.fewest_new} are needed, so it stays "
        f"with model {order.champion}: {labelled} were labelled since"
        f"{f' (not used, old ones included: {taken})' if taken else ''}. Label more good images."
    )


def _digest(store: Store, order: GatherOrder, rows: Sequence[ConsideredNormal]) -> str:
    table = labels.read_labels(store, order.category).to_pylist()
    judges = [
        [row["image_key"], row["label"], row["kind"], row["mask_key"]]
        for row in table
        if row["purpose"] == "evaluation" or row["label"] == "anomalous"
    ]
    used = sorted(row.image_key for row in rows if row.state in USED)
    whole = json.dumps([order.champion, order.settings, used, judges])
    return hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()


def _judged_before(store: Store, order: GatherOrder, digest: str) -> str | None:
    """An equal candidate was judged already, so a schedule must not make it again."""
    for version in reversed(models.list_versions(store, order.category)):
        with suppress(*OF_ONE_OBJECT):  # what is damaged says nothing: `rd-inspect verify` tells of it
            decision = models.read_decision(store, order.category, version)
            if decision and _digest_of(models.read_card(store, order.category, version)) == digest:
                return (
                    f"Candidate {version} of {order.category} was made from the same normals and judged by the same "
                    f"images, and {order.champion} is in force: nothing has changed since. Label more images, or "
                    "retrain from scratch."
                )
    return None


def _digest_of(card: ModelCard) -> str | None:
    return card.retraining.digest if card.retraining and card.recalibration is None else None
