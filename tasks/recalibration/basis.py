"""The scored images that a new threshold rests on, and why others were left out."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rd_core.calibration.suspects import MOST_OUTLYING, suspicious
from rd_core.drift.causes import OF_ROWS
from rd_core.pictures.alignment import OFFSET_COLUMNS
from rd_core.pictures.read_ahead import read_ahead
from storage.errors import OF_ONE_OBJECT
from storage.filesystem import Store
from storage.models import models
from storage.models.card import SPLIT, ImageSets, ModelCard
from storage.partitions.anomaly_maps import each_map
from tasks.recalibration.labelled_normals import labelled_normals, not_normal
from tasks.recalibration.sealed_scores import ScoredImage, sealed_days, sealed_scores
from tasks.reporting.fair_judges import FairJudges
from tasks.scoring.picture_scores import score_pictures
from tasks.worker.picture_reader import micro_batches, read_picture
from tasks.worker.scorer import Scorer

UNREADABLE, DUPLICATE, SUSPICIOUS = "unreadable", "duplicate", "set aside"
TAKEN_FOR_DEFECT = "taken for a defect"
LEARNED, JUDGES_OR_DEFECT = "learned from", "labelled anomalous or for evaluation"
LEARNED_PART = "of parts learned from"
MOST_MAPS = 256
"""maps behind the pixel threshold"""
FEWEST_MAPS = 32
"""of these, however large"""
MOST_PIXELS = 2**24
"""of such maps that lie in memory together"""


@dataclass(frozen=True)
class Basis:
    """The images behind a new threshold."""

    used: tuple[ScoredImage, ...]
    """sorted by key"""
    left_out: dict[str, str]
    """reason by key"""
    set_aside: dict[str, str]
    """by key, why an image labelled normal may be a wrong label, in a sentence; most suspicious first"""
    more_suspects: int = 0
    """number of further ones, which are used because no more than a share is set aside"""

    @property
    def scores(self) -> NDArray[np.float32]:
        """(n,), in the order of `used`"""
        return np.array([image.score for image in self.used], np.float32)

    @property
    def statistics(self) -> dict[str, NDArray[np.float64]]:
        """(n,) by name; those that some image lacks are left out"""
        by_name = {name: np.array([image.statistics[name] for image in self.used], np.float64) for name in OF_ROWS}
        return {name: values for name, values in by_name.items() if np.isfinite(values).all()}


def labelled_basis(
    store: Store,
    images: Store,
    scorer: Scorer,
    card: ModelCard,
    first: date | None,
    last: date | None,
    *,
    anew: bool = False,
) -> Basis:
    """The labelled normals of these days that the weights have not learned from.

    card: with the view that the scores are for. anew: no model has scored with that view; without a first and last
    day the training's own calibration images are among the normals, if it held some apart. Sealed scores of the same
    object by the same weights and view are taken; the others are computed. Images of parts that the weights have
    learned from are left out by the rule of tasks.reporting.fair_judges. Copies of one picture count once, and
    those of one that the weights have learned from not at all. Those that look like wrong labels are set aside, see
    rd_core.calibration.suspects.
    """
    learned = models.read_card(store, card.category, card.weights_version)
    apart = anew and first is None and last is None and learned.calibration.method == SPLIT
    chosen = labelled_normals(store, card.category, learned, first, last, held_out=apart)
    left_out = dict(chosen.left_out) | _of_learned_parts(list(chosen.days), learned.images)
    days = {key: day for key, day in chosen.days.items() if key not in left_out}
    sealed = _sealed(store, card, sorted(set(days.values())))
    known = {
        key: sealed[key]
        for key in days
        if key in sealed and (info := images.info(key)) and info.etag == sealed[key].etag
    }
    missing = {key: day for key, day in days.items() if key not in known}
    for key, image in _score(images, scorer, missing):
        if image is None:
            left_out[key] = UNREADABLE
        else:
            known[key] = image
    copies = _digests_of_copies(images, {*learned.images.used} - known.keys(), known)
    for key in [key for key in sorted(known) if known[key].digest in copies]:
        left_out[key] = LEARNED
        del known[key]
    first_of: dict[str | None, str] = {}
    for key in sorted(known):
        if known[key].digest and first_of.setdefault(known[key].digest, key) != key:
            left_out[key] = DUPLICATE
            del known[key]
    set_aside, more = _suspicious([known[key] for key in sorted(known)])
    left_out |= dict.fromkeys(set_aside, SUSPICIOUS)
    used = tuple(known[key] for key in sorted(known) if key not in set_aside)
    return Basis(used, left_out, set_aside, more)


def without_highest(basis: Basis, number: int) -> Basis:
    """Without the images of the `number` highest scores, which are taken for defects."""
    kept = np.argsort(basis.scores, kind="stable")[: len(basis.used) - number]
    defects = {image.key for image in basis.used} - {basis.used[i].key for i in kept}
    used = tuple(image for image in basis.used if image.key not in defects)
    return replace(basis, used=used, left_out=basis.left_out | dict.fromkeys(sorted(defects), TAKEN_FOR_DEFECT))


def unlabelled_basis(store: Store, card: ModelCard, first: date, last: date) -> Basis:
    """All sealed scores of these days by the same weights and view, but those of images that the weights have learned
    from, that are labelled anomalous, or that judge models."""
    learned = models.read_card(store, card.category, card.weights_version).images
    aside = dict.fromkeys(not_normal(store, card.category), JUDGES_OR_DEFECT)
    aside |= dict.fromkeys((*learned.train, *learned.early_stop, *learned.test), LEARNED)
    sealed = _sealed(store, card, sealed_days(store, card.category, first, last))
    aside = _of_learned_parts(list(sealed), learned) | aside
    used = tuple(sealed[key] for key in sorted(sealed) if key not in aside)
    return Basis(used, {key: aside[key] for key in sealed if key in aside}, {})


def _of_learned_parts(keys: Sequence[str], learned: ImageSets) -> dict[str, str]:
    """Reason by key of images whose part the weights have learned from: their scores are too low for a threshold."""
    judges = FairJudges.of(keys, learned.part_pattern, (*learned.train, *learned.early_stop))
    return {key: LEARNED_PART for key in keys if judges.why_not(key, is_anomalous=False)}


def maps_of(store: Store, images: Iterable[ScoredImage]) -> Iterator[tuple[NDArray[np.float16], ScoredImage]]:
    """(map, float16 (h, w); its image) of at most MOST_MAPS of the images, whichever their order; map stores that are
    gone are left out."""
    in_stores: defaultdict[str, dict[int, ScoredImage]] = defaultdict(dict)
    for image in sorted(images, key=lambda image: _hash(image.key))[:MOST_MAPS]:
        if image.anomaly_map is not None:
            yield image.anomaly_map, image
        elif image.map_store is not None and image.map_index is not None:
            in_stores[image.map_store][image.map_index] = image
    for key, members in in_stores.items():
        with suppress(*OF_ONE_OBJECT):  # past their retention, or damaged: `rd-inspect verify` tells of it
            indices = sorted(members)
            yield from zip(each_map(store, key, indices), (members[index] for index in indices), strict=True)


def _sealed(store: Store, card: ModelCard, days: Sequence[date]) -> dict[str, ScoredImage]:
    return sealed_scores(store, card.category, models.comparable_versions(store, card), days)


def _score(images: Store, scorer: Scorer, days: dict[str, date]) -> Iterator[tuple[str, ScoredImage | None]]:
    """Each image with its score; None if it is unreadable. Maps are kept of as many as `maps_of` may ask for."""
    most = max(FEWEST_MAPS, min(MOST_MAPS, MOST_PIXELS // math.prod(scorer.map_size)))
    with_map = set(sorted(days, key=_hash)[:most])
    keys = iter(days)
    read, picture_bytes = partial(read_picture, images, scorer.image_format), scorer.image_format.picture_bytes
    for pictures in micro_batches(read, list(days), picture_bytes):
        maps = np.full((len(pictures), *scorer.map_size), np.nan, np.float16)
        for scored, anomaly_map in zip(score_pictures(scorer, pictures, maps), maps, strict=True):
            key, loaded = next(keys), scored.loaded
            if scored.score is None or loaded.statistics is None:
                yield key, None
                continue
            statistics = {**vars(loaded.statistics), "feature_distance": float(scored.feature_distance or 0.0)}
            statistics |= dict(zip(OFFSET_COLUMNS, loaded.offset or (float("nan"),) * 3, strict=True))
            kept = anomaly_map.copy() if key in with_map else None
            yield (
                key,
                ScoredImage(
                    key,
                    days[key],
                    float(scored.score),
                    loaded.digest,
                    statistics,
                    size=loaded.size,
                    offset=loaded.offset,
                    anomaly_map=kept,
                ),
            )


def _digests_of_copies(images: Store, learned: Collection[str], known: Collection[str]) -> set[str]:
    """SHA-256 (hex) of the images that the weights have learned from, of those as long as a known one: only they can
    be its copies."""
    sizes = {info.size for info in read_ahead(images.info, sorted(known)) if info}
    learned = sorted(learned)
    infos = zip(learned, read_ahead(images.info, learned), strict=True)
    alike = [key for key, info in infos if info and info.size in sizes]
    return {hashlib.sha256(data).hexdigest() for data in read_ahead(images.read, alike)}


def _suspicious(images: Sequence[ScoredImage]) -> tuple[dict[str, str], int]:
    """(why by key of those to set aside, number of further ones)"""
    found = suspicious([image.score for image in images])
    aside = {
        images[number].key: f"The model scores it {images[number].score:.4g}, {found.z[number]:.1f} robust standard "
        f"deviations above the other normals ({MOST_OUTLYING:g} are allowed). Look whether it is normal."
        for number in found.numbers
    }
    return aside, found.more


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def counted(left_out: Collection[str]) -> dict[str, int]:
    """Number of images by reason, sorted."""
    return {reason: sum(why == reason for why in left_out) for reason in sorted(set(left_out))}
