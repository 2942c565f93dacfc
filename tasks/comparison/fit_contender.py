"""A contender of a comparison: trained and calibrated as a model is, and kept as scores, a few maps and its cost."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from rd_core.calibration.holdout import Split
from rd_core.calibration.threshold import triage
from rd_core.comparison.figures import PixelFigures
from rd_core.detectors.registry import settings_of
from rd_core.engines.choice import TORCH
from rd_core.engines.engine import computed_by
from rd_core.engines.measurement import EngineChoice
from rd_core.engines.tiled import seeing
from rd_core.maps.enlargement import enlarged
from rd_core.metrics.pixel_tables import PixelTables
from rd_core.pictures.image_view import ImageView
from storage.comparisons.contender import SCORES, ContenderMaps, ContenderRecord, read_contender, write_contender
from storage.comparisons.plan import REPORTING, ComparisonPlan, PlannedContender, read_plan
from storage.filesystem import Store, open_store
from storage.models.card import SPLIT
from tasks.comparison.judged_pictures import ImagesChanged, JudgedPicture, read_judged
from tasks.comparison.measured_cost import Meter
from tasks.training.fit_model import CalibratedFit, fit_and_calibrate
from tasks.training.normal_images import NormalImages, read_normal_images
from tasks.training.training_request import TrainingRequest
from tasks.worker.computing_time import computing_seconds
from tasks.worker.faults import ON_STORAGE_FAULT
from tasks.worker.picture_reader import micro_batches
from tasks.worker.progress import tell_phase
from tasks.worker.scorer import Scorer
from tasks.worker.software import software
from tasks.worker.worker_process import prepare_worker_process

MOST_MAP_BYTES, FEWEST_MAPS = 16 * 2**20, 16
"""of float16 maps that a contender keeps for the report, before compression; but so many maps at least"""


@dataclass(frozen=True)
class ContenderOrder:
    """A contender of a plan."""

    request: TrainingRequest
    """what all have in common"""
    plan: str
    """key"""
    method: str
    seed: int

    @property
    def name(self) -> str:
        return contender_name(self.method, self.seed)


@dataclass(frozen=True)
class FinishedContender:
    """A contender in short."""

    method: str
    seed: int
    digest: str
    is_new: bool
    """False: an earlier run had finished it"""


def contender_name(method: str, seed: int) -> str:
    """For people."""
    return f"{method}, seed {seed}"


@task(
    name="fit-contender", task_run_name="fit {order.method} {order.seed}", cache_policy=NO_CACHE, **ON_STORAGE_FAULT
)
def fit_contender(
    store_uri: str, images_uri: str, order: ContenderOrder, *, run_id: str, now: datetime
) -> FinishedContender:
    """Train, calibrate and judge, unless that is done. Publishes no model. Raises ImagesChanged, and as
    `fit_and_calibrate`."""
    prepare_worker_process()
    store, images = open_store(store_uri), open_store(images_uri, read_only=True)
    plan = read_plan(store, order.plan)
    planned = next(one for one in plan.contenders if (one.method, one.seed) == (order.method, order.seed))
    if read_contender(store, plan.category, planned.digest) is not None:
        tell_phase(order.name, "judged", done=1, total=1)
        return FinishedContender(order.method, order.seed, planned.digest, is_new=False)
    meter = Meter()
    model = _fitted(store, images, order, plan, planned)
    # What the first contender spent on the pass that others read is each one's cost: who came first decides nothing.
    processor_seconds = meter.processor_seconds + model.fitted.report.shared_seconds
    elapsed_seconds = meter.elapsed_seconds
    tell_phase(order.name, "judging")
    found = _judge(store, images, _scorer(model, planned, now, run_id), plan)
    threshold = model.calibration.threshold
    record = ContenderRecord(
        method=planned.method,
        seed=planned.seed,
        threshold=threshold.value,
        low=threshold.low,
        high=threshold.high,
        pixel_threshold=model.calibration.pixel_threshold.value,
        fit=model.fitted.report.summary,
        training_seconds=processor_seconds,
        elapsed_seconds=elapsed_seconds,
        images_per_second=found.images_per_second,
        peak_memory=meter.peak_memory,
        model_bytes=len(model.weights),
        pixels=None if found.pixels is None else asdict(found.pixels),
        scores="",
        maps="",
        run_id=run_id,
        made_at=now,
        software=software(),
    )
    write_contender(store, plan.category, planned.digest, record, _table(plan, planned, found), found.maps)
    model.unfinished.discard()
    tell_phase(order.name, "judged", done=1, total=1)
    get_run_logger().info(
        "contender judged comparison=%s category=%s method=%s seed=%d processor_seconds=%.1f images_per_second=%.1f",
        plan.id, plan.category, planned.method, planned.seed, processor_seconds, found.images_per_second,
    )  # fmt: skip
    return FinishedContender(order.method, order.seed, planned.digest, is_new=True)


def _fitted(
    store: Store, images: Store, order: ContenderOrder, plan: ComparisonPlan, planned: PlannedContender
) -> CalibratedFit:
    request = replace(
        order.request,
        settings=settings_of(planned.method, planned.settings),
        view=ImageView.from_dict(plan.view),
        align=None,  # it is in the plan's view
        calibration=SPLIT,
        extrapolate=True,  # no threshold of a contender is ever in force
        engine=TORCH,
        named=order.name,
    )
    normals = read_normal_images(images, list(plan.normals), request.image_format)
    if normals.digests != plan.normals:
        changed = sorted(key for key in plan.normals if normals.digests.get(key) != plan.normals[key])
        raise ImagesChanged(
            f"{len(changed)} normals changed since the comparison was planned, such as {changed[0]}, so contenders "
            "would have learned from different images. Compare again."
        )
    return fit_and_calibrate(store, images, request, normals, _split(normals, plan))


def _split(normals: NormalImages, plan: ComparisonPlan) -> Split:
    number = {key: i for i, key in enumerate(normals.keys)}
    return Split(
        *(tuple(sorted(number[key] for key in keys)) for keys in (plan.train, plan.early_stop, plan.calibration))
    )


def _scorer(model: CalibratedFit, planned: PlannedContender, now: datetime, run_id: str) -> Scorer:
    engine = EngineChoice(TORCH, "contenders of a comparison use torch")
    card = model.card(engine, version=planned.digest, now=now, run_id=run_id)
    view = model.request.view
    computed = computed_by(TORCH, model.ready, ignoring=not view.counts_all)
    scores = np.sort(np.asarray(card.calibration.scores, dtype=np.float32))
    return Scorer(card, scores, seeing(view, computed, model.ready), model.request.image_format)


@dataclass(frozen=True, eq=False)
class _Judged:
    """A contender's results on all n judged images."""

    scores: NDArray[np.float32]
    """(n,)"""
    p_values: NDArray[np.float64]
    """(n,)"""
    decisions: NDArray[np.str_]
    """(n,)"""
    maps: ContenderMaps
    pixels: PixelFigures | None
    images_per_second: float


def _judge(store: Store, images: Store, scorer: Scorer, plan: ComparisonPlan) -> _Judged:
    """Score the judged images in their order, a few in memory at a time. Maps are counted at the view's size."""
    image_format = scorer.image_format
    size, wanted = image_format.view.size, set(_kept(len(plan.judged), 2 * math.prod(scorer.map_size)))
    has_masks = any(image.defect_share is not None for image in plan.judged)
    tables, scores, maps, seconds, done = PixelTables.empty(), [], [], 0.0, 0
    read = micro_batches(
        lambda image: (image, read_judged(store, images, image_format, image)),
        plan.judged,
        image_format.picture_bytes,
    )
    for batch in read:
        pictures = [judged.picture for _, judged in batch]
        if not done:
            scorer.score(pictures)  # memory and kernels
        began = computing_seconds()
        found = scorer.score(pictures)
        seconds += computing_seconds() - began
        of_batch = found.as_float16()
        scores.append(found.scores)
        maps += [anomaly_map for place, anomaly_map in enumerate(of_batch, done) if place in wanted]
        reporting = [place for place, (image, _) in enumerate(batch) if image.half == REPORTING]
        if has_masks and reporting:
            tables += _counted(enlarged(of_batch[reporting], size), [batch[place] for place in reporting])
        done += len(batch)
    every = np.concatenate(scores)
    kept = ContenderMaps(np.stack(maps), np.array(sorted(wanted), np.int64))
    pixels = PixelFigures.of(tables) if tables.regions else None
    decisions = triage(every, *scorer.review_band)
    return _Judged(every, scorer.p_values(every), decisions, kept, pixels, len(every) / seconds)


def _kept(images: int, bytes_each: int) -> Sequence[int]:
    """The places of the judged images whose maps are kept, evenly spread."""
    most = max(FEWEST_MAPS, MOST_MAP_BYTES // bytes_each)
    return range(0, images, max(1, -(-images // most)))


def _counted(maps: NDArray[np.float16], judged: Sequence[tuple[Any, JudgedPicture]]) -> PixelTables:
    masks = [picture.defect for _, picture in judged]
    anomalous = [image.is_anomalous for image, _ in judged]
    return PixelTables.of(maps, masks, anomalous, [picture.counted for _, picture in judged])


def _table(plan: ComparisonPlan, planned: PlannedContender, found: _Judged) -> pa.Table:
    judged = plan.judged
    columns: list[Any] = [
        [image.image_key for image in judged],
        [image.donor is not None for image in judged],
        [image.part for image in judged],
        [image.half for image in judged],
        [image.is_anomalous for image in judged],
        [image.kind for image in judged],
        [planned.method] * len(judged),
        [planned.seed] * len(judged),
        found.scores,
        found.p_values,
        found.decisions.tolist(),
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCORES, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCORES)
