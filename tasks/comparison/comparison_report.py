"""From what a comparison found to the data of its report."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rd_core.comparison import figures as core
from rd_core.comparison.contender import Contender
from rd_core.comparison.differences import Differences
from rd_core.comparison.disagreement import ranks_of
from rd_core.comparison.judged_images import JudgedImage
from rd_core.comparison.judgement import Judgement, MethodFigures
from rd_core.comparison.winner import NEAR
from rd_core.metrics.intervals import Interval
from rd_core.metrics.region_recall import AREA_EDGES
from reports.comparison.results import (
    ComparedMethod,
    ComparisonReport,
    DisagreedImage,
    Figure,
    JudgedCounts,
    MethodView,
    Ranked,
    Share,
)
from reports.number_format import percent
from reports.scored_image import Box, ScoredImage

_SIZES = tuple(f"{percent(above)} to {percent(up_to)}" for above, up_to in pairwise(AREA_EDGES))


@dataclass(frozen=True, eq=False)
class ShownImage:
    """The pictures of a judged image on which methods disagree."""

    index: int
    """of the image among all judged ones"""
    picture: NDArray[np.uint8] | None
    """uint8 (H, W, 3) of any size, with the drawn defect if it has one"""
    maps: Mapping[str, NDArray[np.floating]]
    """(h, w) of each method's typical model; a method may be missing"""
    defect: NDArray[np.bool_] | None = None
    """mask (h, w) of any size over the picture"""
    covered: Box | None = None
    """the part of the picture that the maps cover; None: all of it"""
    ignored: NDArray[np.bool_] | None = None
    """(h, w) of any size, True in regions of the picture that do not count"""


@dataclass(frozen=True)
class ReportedComparison:
    """What the report says of the comparison beside its figures."""

    category: str
    comparison_id: str
    store_uri: str
    made_at: datetime
    alpha: float
    """promised false-alarm rate"""
    failed: tuple[tuple[str, int, str], ...] = ()
    """(method, seed, why)"""
    notes: tuple[str, ...] = ()
    """further sentences for the reader"""
    review_url: str | None = None
    software: Mapping[str, str] | None = None


def comparison_report(
    judgement: Judgement,
    contenders: Sequence[Contender],
    shown: Sequence[ShownImage],
    pixel_thresholds: Mapping[str, float],
    about: ReportedComparison,
) -> ComparisonReport:
    """The report's data. pixel_thresholds: of each method's typical model, the unit of its maps' colours."""
    models = {one.method: one for one in contenders if one.seed == judgement.typical[one.method]}
    ranks = dict(zip((one.method for one in judgement.methods), ranks_of(judgement, contenders), strict=True))
    reference = judgement.choice.method or judgement.methods[0].method
    return ComparisonReport(
        category=about.category,
        comparison_id=about.comparison_id,
        store_uri=about.store_uri,
        made_at=about.made_at,
        alpha=about.alpha,
        sentence=judgement.choice.sentence,
        named=judgement.choice.method,
        beyond_chance=judgement.choice.beyond_chance,
        reference=reference,
        near=NEAR,
        halves=judgement.halves.sentence,
        counts=_counts(judgement),
        methods=tuple(_method(figures, judgement) for figures in judgement.methods),
        disagreed=tuple(_disagreed(one, judgement, models, ranks, pixel_thresholds) for one in shown),
        failed=about.failed,
        notes=about.notes,
        review_url=about.review_url,
        software=about.software or {},
    )


def _counts(judgement: Judgement) -> JudgedCounts:
    inside = [image for image, chosen in zip(judgement.images, judgement.halves.reporting, strict=True) if chosen]
    anomalous = sum(image.anomalous for image in inside)
    drawn = sum(image.drawn for image in inside)
    return JudgedCounts(len(inside) - anomalous, anomalous, len({image.part for image in inside}), drawn)


def _method(figures: MethodFigures, judgement: Judgement) -> ComparedMethod:
    decisions, pixels, name = figures.decisions, figures.pixels, figures.method
    return ComparedMethod(
        method=name,
        seeds=figures.seeds,
        typical=figures.typical,
        standing=judgement.choice.standings.get(name),
        choosing=_ranked(judgement.choosing, name),
        auroc=_ranked(judgement.auroc, name),
        average_precision=_ranked(judgement.average_precision, name),
        pixel_auroc=pixels.auroc if pixels else None,
        aupro_30=pixels.aupro_30 if pixels else None,
        aupro_05=pixels.aupro_05 if pixels else None,
        recall=_share(decisions.recall),
        false_alarms=_share(decisions.false_alarms),
        undecided=_share(decisions.undecided),
        by_kind=tuple(map(_share, decisions.by_kind)),
        by_size=tuple(_share(row, size) for row, size in zip(decisions.by_size, _SIZES, strict=True)),
        training_seconds=figures.cost.training_seconds,
        images_per_second=figures.cost.images_per_second,
        peak_memory=figures.cost.peak_memory,
        model_bytes=figures.cost.model_bytes,
    )


def _ranked(differences: Differences | None, method: str) -> Ranked | None:
    if differences is None:
        return None
    seeds = differences.seeds[method]
    other = differences.others.get(method)
    return Ranked(
        _figure(differences.figures[method]),
        _defined(min(seeds)),
        _defined(max(seeds)),
        _figure(other.interval) if other else None,
        other.p_value if other else None,
    )


def _share(share: core.Share, name: str | None = None) -> Share:
    return Share(name or share.name, share.flagged, share.total, _figure(share.share))


def _figure(interval: Interval) -> Figure:
    return Figure(_defined(interval.value), _defined(interval.low), _defined(interval.high))


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value


def _disagreed(
    shown: ShownImage,
    judgement: Judgement,
    models: Mapping[str, Contender],
    ranks: Mapping[str, NDArray[np.float64]],
    pixel_thresholds: Mapping[str, float],
) -> DisagreedImage:
    image = judgement.images[shown.index]
    views = tuple(
        MethodView(method, float(row[shown.index]), _scored(image, shown, models[method], pixel_thresholds))
        for method, row in ranks.items()
    )
    label = "anomalous" if image.anomalous else "normal"
    return DisagreedImage(image.key, label, image.kind, image.drawn, shown.picture, shown.defect, views)


def _scored(
    image: JudgedImage, shown: ShownImage, model: Contender, pixel_thresholds: Mapping[str, float]
) -> ScoredImage:
    score = float(model.scores[shown.index])
    return ScoredImage(
        image_key=image.key,
        score=score,
        threshold=model.threshold,
        is_anomalous=score > model.threshold,
        pixel_threshold=pixel_thresholds.get(model.method),
        anomaly_map=shown.maps.get(model.method),
        covered=shown.covered,
        ignored=shown.ignored,
    )
