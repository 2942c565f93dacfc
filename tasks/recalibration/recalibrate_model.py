"""A new threshold for a model version: a new version with the same weights by reference."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from rd_core.calibration.pixel_threshold import PixelCounts
from rd_core.calibration.threshold import Threshold, calibrate, proven_rate
from rd_core.calibration.unlabelled import calibrate_unlabelled, fewest_scores
from rd_core.detectors.registry import settings_class
from rd_core.errors import ConfigError, TooFewNormals
from rd_core.pictures.image_view import ImageView
from reports.promise import promise_in_words
from storage.filesystem import Store, open_store
from storage.models import card as cards
from storage.models import models
from storage.models.card import ModelCard
from tasks.recalibration.basis import Basis, counted, labelled_basis, maps_of, unlabelled_basis, without_highest
from tasks.recalibration.held_out import with_alpha
from tasks.recalibration.labelled_normals import FEWEST_NORMALS
from tasks.recalibration.order import HELD_OUT, LABELLED, UNLABELLED, UNLABELLED_DAYS, RecalibrateOrder
from tasks.recalibration.sealed_scores import ScoredImage, last_sealed_day, window_before
from tasks.reporting.promise import promise_of
from tasks.training.ignored import ignored_by, ignored_share, ignoring, uncovered_share
from tasks.training.parts import images_by_part
from tasks.training.set_aside_report import write_set_aside_report
from tasks.worker.faults import ON_STORAGE_FAULT
from tasks.worker.preprocessing import ImageFormat
from tasks.worker.scorer import warm_scorer
from tasks.worker.software import software
from tasks.worker.worker_process import prepare_worker_process

MOST_UNCOVERED = 0.001
"""share of the image that may count though the weights have never seen it: outlines are redrawn by a pixel"""
NOTHING_PROVEN = 1.0
"""false-alarm rate that images prove at which nobody has looked"""


@dataclass(frozen=True)
class RecalibratedModel:
    """The result of a recalibration."""

    category: str
    version: str
    replaces: str
    weights_version: str
    method: str
    """labelled normals, unlabelled scores or the model's own held-out scores"""
    first_day: date | None
    """None for the training's held-out scores"""
    last_day: date | None
    images: int
    """behind the threshold"""
    sealed: int
    """of them, scores taken from complete days"""
    left_out: dict[str, int]
    set_aside: dict[str, str]
    threshold: float
    threshold_is_extrapolated: bool
    threshold_before: float
    above: int
    """of the images, those above the new threshold"""
    above_before: int
    """those above the old one"""
    pixel_threshold_is_new: bool
    champion: bool
    seconds: float
    promise: str
    """what the threshold promises, and what its scores prove and show, in words"""
    more_suspects: int = 0
    """normals that stand out and are used, because no more than a share is set aside"""
    page: str | None = None
    """key of the page of those set aside"""
    defect_share: float | None = None
    """estimated share of defects among unlabelled images"""
    withstands: float | None = None
    """largest share of defects that the threshold withstands"""
    decision: str | None = None
    """the gate's words; None: it was not asked"""
    overtaken: str | None = None
    """why it is not in force though the gate let it pass: another was promoted first"""
    ignored: float = 0.0
    """share of the image that counts in nothing"""
    region_is_new: bool = False
    """whether the version before ignored another region, so that scores and thresholds are not comparable"""

    @property
    def judged(self) -> str:
        """What the gate said of it and what came of that; empty if it was not asked."""
        if self.overtaken is None:
            return self.decision or ""
        return f"The gate let it pass, but it was overtaken: {self.overtaken} The gate said: {self.decision}"


@task(
    name="recalibrate-model",
    task_run_name="recalibrate {order.category}",
    cache_policy=NO_CACHE,
    **ON_STORAGE_FAULT,
)
def recalibrate_model(
    store_uri: str, images_uri: str, order: RecalibrateOrder, *, run_id: str, now: datetime
) -> RecalibratedModel:
    """Calibrate, publish, and promote on request. Equal inputs at the same `now` give the same version.

    The new images alone decide, without the old calibration: after a lasting change only they keep the promise.
    Raises TooFewNormals, OtherPreprocessing, ConfigError for a region that uncovers what a method that knows places
    has not learnt, Conflict if another model was promoted meanwhile.
    """
    started = time.perf_counter()
    prepare_worker_process()
    store, images = open_store(store_uri), open_store(images_uri, read_only=True)
    replaced = models.read_card(store, order.category, order.version)
    card = replaced if order.held_out else ignoring(replaced, order.ignore)
    basis, withstands = Basis((), {}, {}), None
    if order.held_out:
        new = with_alpha(card, order, run_id=run_id, now=now)
    else:
        _refuse_unseen_places(store, card)
        found = _unlabelled(store, order, card) if order.unlabelled else _labelled(store, images, order, card)
        new = _card(store, order, card, found, run_id=run_id, now=now)
        basis, withstands = found.images, found.withstands
    models.publish_recalibrated(store, new)
    get_run_logger().info(
        "model recalibrated run=%s category=%s model=%s replaces=%s images=%d threshold=%.4f before=%.4f",
        run_id, order.category, new.version, order.version, len(new.calibration.scores),
        new.threshold.value, replaced.threshold.value,
    )  # fmt: skip
    page = _show_set_aside(store, images, order, new, basis) if basis.set_aside else None
    if order.promote:
        models.promote(
            store, order.category, new.version,
            by=f"recalibration run {run_id}", now=now, expected=order.expected,
        )  # fmt: skip
    receipt = _receipt(order, replaced, new, basis, time.perf_counter() - started)
    return replace(receipt, page=page, withstands=withstands)


@dataclass(frozen=True)
class _Calibrated:
    """Images, and the threshold from their scores."""

    images: Basis
    threshold: Threshold
    proven: float
    defect_share: float | None = None
    withstands: float | None = None


def _labelled(store: Store, images: Store, order: RecalibrateOrder, card: ModelCard) -> _Calibrated:
    warm = warm_scorer(store, order.category, order.version)
    scorer = replace(warm, card=card, image_format=ImageFormat.of(card.preprocessing))
    anew = card.score_scale != warm.card.score_scale
    basis = labelled_basis(store, images, scorer, card, order.first_day, order.last_day, anew=anew)
    if len(basis.used) < FEWEST_NORMALS:
        raise _too_few(
            order, basis, f"labelled normals of {order.category}", f"{FEWEST_NORMALS} are needed",
            "Parts that it was trained with do not count. Label good images of other parts, or "
            + ("train: rd-inspect train" if anew else "calibrate on all scores: rd-inspect recalibrate --unlabelled")
            + f" --category {order.category}",
        )  # fmt: skip
    threshold = calibrate(basis.scores, order.alpha, extrapolate=order.extrapolate)
    parts = images_by_part([image.key for image in basis.used], card.images.part_pattern)
    return _Calibrated(basis, threshold, proven_rate(parts, threshold.alpha))


def _refuse_unseen_places(store: Store, card: ModelCard) -> None:
    """Raise ConfigError if the card counts places that were ignored when its weights learnt."""
    learnt = models.read_card(store, card.category, card.weights_version)
    share = uncovered_share(ignored_by(learnt), ignored_by(card))
    if share > MOST_UNCOVERED and settings_class(card.method.name).knows_places:
        raise ConfigError(
            f"The ignored region of {card.category} leaves in {share:.1%} of the image that it left out when "
            f"{learnt.version} was trained, and {card.method.name} knows nothing of places that it has not seen: no "
            f"defect there would be found, so {card.version} keeps its threshold. Train: rd-inspect train --category "
            f"{card.category}"
        )


def _too_few(order: RecalibrateOrder, basis: Basis, what: str, needed: str, cure: str) -> TooFewNormals:
    left = ", ".join(f"{count} {reason}" for reason, count in counted(basis.left_out.values()).items())
    return TooFewNormals(
        f"{len(basis.used)} {what} can be used and {needed}, so model {order.version} keeps its threshold. "
        f"{f'Left out: {left}. ' if left else ''}{cure}"
    )


def _unlabelled(store: Store, order: RecalibrateOrder, card: ModelCard) -> _Calibrated:
    last = order.last_day or last_sealed_day(store, order.category)
    if last is None:
        raise TooFewNormals(
            f"No day of {order.category} is complete, so there are no scores to calibrate on. Score some: "
            "rd-inspect inspect"
        )
    first = order.first_day or window_before(last, UNLABELLED_DAYS)
    basis = unlabelled_basis(store, card, first, last)
    if len(basis.used) < (needed := fewest_scores(order.alpha)):
        raise _too_few(
            order, basis, f"scores of {order.category} by its weights from {first} to {last}",
            f"{needed} are needed for alpha {order.alpha:g}",
            "Name more days with --from and --to, score more (rd-inspect backfill), or calibrate on labelled "
            f"normals: rd-inspect recalibrate --category {order.category}",
        )  # fmt: skip
    by_labels = _by_labels(store, card)
    found = calibrate_unlabelled(basis.scores, order.alpha, reference=by_labels.calibration.scores)
    if found.threshold.extrapolated:
        calibrate(basis.scores, order.alpha, extrapolate=order.extrapolate)  # refuses, if the settings say so
    kept = without_highest(basis, found.left_out)
    return _Calibrated(kept, found.threshold, NOTHING_PROVEN, found.defects, found.withstands)


def _by_labels(store: Store, card: ModelCard) -> ModelCard:
    """The nearest version, back from this one, whose threshold rests on labels. A new view needs labels, so their
    scores are comparable."""
    while card.calibration.method == UNLABELLED and card.recalibration is not None:
        card = models.read_card(store, card.category, card.recalibration.replaces)
    return card


def _show_set_aside(store: Store, images: Store, order: RecalibrateOrder, card: ModelCard, basis: Basis) -> str:
    """Write the page of the normals set aside now; its key."""
    only = replace(card, images=replace(card.images, set_aside=basis.set_aside))
    more, review_url = basis.more_suspects, order.review_url
    return write_set_aside_report(store, images, only, highest={}, more_suspects=more, review_url=review_url)


def _card(
    store: Store,
    order: RecalibrateOrder,
    card: ModelCard,
    calibrated: _Calibrated,
    *,
    run_id: str,
    now: datetime,
) -> ModelCard:
    """The version's card: that of the weights, with the new images in place of the old calibration."""
    basis, threshold = calibrated.images, calibrated.threshold
    digest = _digest(card, basis, threshold)
    ascending = np.argsort(basis.scores, kind="stable")
    below = [image for image in basis.used if image.score <= threshold.value]
    try:
        view = ImageView.from_dict(card.preprocessing.view)
        pixels = cards.PixelThreshold(**asdict(_pixels(store, below, view).threshold()))
    except TooFewNormals:  # no map is left: the old one stays
        pixels = card.pixel_threshold
    used, days = tuple(image.key for image in basis.used), [image.day for image in basis.used]
    aside = {key: why for key, why in card.images.set_aside.items() if key not in used}
    return replace(
        card,
        version=models.new_version(digest.encode(), now),
        created_at=now,
        run_id=run_id,
        threshold=cards.ImageThreshold(**asdict(threshold)),
        pixel_threshold=pixels,
        calibration=cards.Calibration(
            tuple(basis.scores[ascending].tolist()),
            {name: tuple(values[ascending].tolist()) for name, values in basis.statistics.items()},
            method=UNLABELLED if order.unlabelled else LABELLED,
            folds=None,
            parts=images_by_part(used, card.images.part_pattern),
            proven=calibrated.proven,
            above=int(np.count_nonzero(basis.scores > np.float32(threshold.value))),
        ),
        images=replace(card.images, calibration=used, set_aside={**aside, **basis.set_aside}),
        weights=replace(card.weights, version=card.weights_version),
        software=software(),
        recalibration=cards.Recalibration(
            replaces=order.version,
            first_day=min(days),
            last_day=max(days),
            considered=len(basis.used) + len(basis.left_out),
            left_out=counted(basis.left_out.values()),
            sealed=sum(image.etag is not None for image in basis.used),
            defect_share=calibrated.defect_share,
            digest=digest,
        ),
    )


def _pixels(store: Store, images: Sequence[ScoredImage], view: ImageView) -> PixelCounts:
    counts = PixelCounts()
    for anomaly_map, image in maps_of(store, images):
        grid = anomaly_map.shape[0], anomaly_map.shape[1]
        seen = None if image.size is None else view.counted(image.size, grid, image.offset)
        counts.add(anomaly_map[None], None if seen is None else seen[None])
    return counts


def _digest(card: ModelCard, basis: Basis, threshold: Threshold) -> str:
    scores = [[image.key, image.digest, image.score] for image in basis.used]
    text = json.dumps([card.version, card.score_scale, scores, asdict(threshold)])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _receipt(
    order: RecalibrateOrder, card: ModelCard, new: ModelCard, basis: Basis, seconds: float
) -> RecalibratedModel:
    made = new.recalibration
    assert made is not None  # of a new card
    scores = np.asarray(new.calibration.scores, np.float32)
    return RecalibratedModel(
        category=order.category,
        version=new.version,
        replaces=order.version,
        weights_version=new.weights_version,
        method=HELD_OUT if order.held_out else new.calibration.method,
        first_day=made.first_day,
        last_day=made.last_day,
        images=len(scores),
        sealed=made.sealed,
        left_out=dict(made.left_out),
        set_aside=basis.set_aside,
        threshold=new.threshold.value,
        threshold_is_extrapolated=new.threshold.extrapolated,
        threshold_before=card.threshold.value,
        above=new.calibration.above,
        above_before=int(np.count_nonzero(scores > np.float32(card.threshold.value))),
        pixel_threshold_is_new=new.pixel_threshold != card.pixel_threshold,
        champion=order.promote,
        seconds=seconds,
        promise=promise_in_words(promise_of(new)),
        more_suspects=basis.more_suspects,
        defect_share=made.defect_share,
        ignored=ignored_share(ignored_by(new)),
        region_is_new=new.score_scale != card.score_scale,
    )
