"""The plan of a comparison: one split of the normals, the judged images in two halves, and the contenders."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from rd_core.calibration.threshold import normals_needed
from rd_core.comparison.halves import halves_of
from rd_core.comparison.judged_images import JudgedImage
from rd_core.detectors.settings import DetectorSettings
from rd_core.errors import ConfigError, TooFewNormals
from rd_core.pictures.alignment import require_alignment
from reports.number_format import count, counted, percent
from storage.comparisons.plan import CHOOSING, REPORTING, ComparisonPlan, PlannedContender, PlannedImage, write_plan
from storage.filesystem import Store, open_store
from tasks.comparison.judged_choice import ComparedNormals, LabelledImages, divide_normals, labelled_images
from tasks.comparison.judged_pictures import drawn, labelled_defect
from tasks.reporting.kept_result import bytes_there, inputs_digest
from tasks.reporting.labelled_pixels import Uncountable
from tasks.training.fit_model import NoNormals
from tasks.training.normal_alignment import align_normals
from tasks.training.normal_images import NormalImages, read_normal_images
from tasks.training.parts import parts_of_keys
from tasks.training.training_request import TrainingRequest
from tasks.worker.faults import ON_STORAGE_FAULT
from tasks.worker.picture_reader import read_picture
from tasks.worker.preprocessing import PREPROCESSING_VERSION, ImageFormat
from tasks.worker.worker_process import prepare_worker_process

_TRAINED = ("train", "early_stop", "calibration")
"""sets of the split that contenders see before they are judged"""
_OF_DEFECTS = ("kind", "mask_key", "mask_digest", "defect_share", "donor")


class NothingToCompare(Exception):
    """Fewer than two methods can be compared, or too few images choose."""


@dataclass(frozen=True)
class ComparisonOrder:
    """What to compare, from the settings."""

    request: TrainingRequest
    """what all contenders have in common; its settings' seed splits the normals"""
    contenders: tuple[DetectorSettings, ...]
    """a method with a seed each"""
    left_out: Mapping[str, str]
    """methods that the settings make impossible: name -> why"""
    to_choose: bool = False
    """whether it is of no use where too few images are labelled to name a method, as for `method = "auto"`"""


@dataclass(frozen=True)
class PlannedComparison:
    """A plan in short."""

    category: str
    id: str
    key: str
    """of the whole plan"""
    contenders: tuple[tuple[str, int], ...]
    """(method, seed)"""


@dataclass(frozen=True)
class NotCompared:
    """No plan, because these images and settings leave nothing to choose from. Nothing failed."""

    why: str
    """sentences, with the cure"""


@task(
    name="plan-comparison", task_run_name="plan {order.request.category}", cache_policy=NO_CACHE, **ON_STORAGE_FAULT
)
def plan_comparison(store_uri: str, images_uri: str, order: ComparisonOrder) -> PlannedComparison | NotCompared:
    """Read every labelled image once, and write the plan. Raises NoNormals, TooFewNormals, NothingToCompare (or, to
    choose a method, returns why), ConfigError for a part pattern that fits no name, AlignmentUnavailable,
    NoCommonPart."""
    prepare_worker_process()
    try:
        return _planned(store_uri, images_uri, order)
    except (NoNormals, TooFewNormals, NothingToCompare) as e:
        if not order.to_choose:
            raise
        return NotCompared(str(e))


def _planned(store_uri: str, images_uri: str, order: ComparisonOrder) -> PlannedComparison:
    if order.request.align is not None:
        require_alignment()
    store, images = open_store(store_uri), open_store(images_uri, read_only=True)
    category = order.request.category
    labelled = labelled_images(store, category)
    request = order.request.fitted(images, labelled.training) if order.request.size_is_auto else order.request
    contenders, left_out = _of_size(order, request)
    everything = read_normal_images(images, labelled.keys, request.image_format)
    normals = _divided(labelled, everything, request)
    image_format, normals, seen = _aligned(images, normals, everything, request)
    judged, of_judged = _judged(store, images, image_format, labelled, normals, seen, request.part_pattern)
    if order.to_choose and all(image.half == REPORTING for image in judged):
        raise NothingToCompare(halves_of(known_images(judged)).sentence)
    notes = (*_notes(labelled, everything, normals, request.alpha), *of_judged)
    split = {name: normals.keys(name) for name in _TRAINED}
    plan = _plan(replace(request, view=image_format.view), contenders, left_out, split, seen.digests, judged, notes)
    write_plan(store, plan)
    get_run_logger().info(
        "comparison planned category=%s comparison=%s contenders=%d train=%d calibration=%d judged=%d drawn=%s",
        category, plan.id, len(contenders), len(plan.train), len(plan.calibration), len(judged), plan.drawn,
    )  # fmt: skip
    return PlannedComparison(category, plan.id, plan.key, tuple((one.method, one.seed) for one in plan.contenders))


def _plan(
    request: TrainingRequest,
    contenders: Sequence[DetectorSettings],
    left_out: Mapping[str, str],
    split: Mapping[str, tuple[str, ...]],
    digests: Mapping[str, str],
    judged: Sequence[PlannedImage],
    notes: tuple[str, ...],
) -> ComparisonPlan:
    """The plan, named by all that decides about it. split: keys of the normals by use. digests: of images, by key."""
    normals = {key: digests[key] for key in sorted(key for keys in split.values() for key in keys)}
    data = {
        "category": request.category,
        "alpha": request.alpha,
        "view": request.view.to_dict(),
        "levels": [request.white_level, request.black_level, request.max_pixels, PREPROCESSING_VERSION],
        "teacher_weights": _told_apart(request.teacher_weights),
        "normals": split,
        "judged": [asdict(image) for image in judged],
        "digests": normals,
    }
    planned = tuple(
        PlannedContender(own.method, own.seed, own.to_dict(), _digest(data, own.method, own.to_dict(), own.files()))
        for own in contenders
    )
    return ComparisonPlan(
        category=request.category,
        id=_digest(data, [one.digest for one in planned], left_out, notes),
        alpha=request.alpha,
        view=request.view.to_dict(),
        white_level=request.white_level,
        black_level=request.black_level,
        max_pixels=request.max_pixels,
        size_choice=request.size_choice,
        part_pattern=request.part_pattern,
        **split,
        normals=normals,
        judged=tuple(judged),
        contenders=planned,
        left_out=left_out,
        notes=notes,
    )


def _digest(*inputs: Any) -> str:
    return inputs_digest(inputs)[:16]


def _told_apart(weights: Path | None) -> str | None:
    """The digest of a file of weights, which another may replace; the path where this machine does not have it."""
    if weights is None or not weights.is_file():
        return None if weights is None else str(weights)
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _of_size(order: ComparisonOrder, request: TrainingRequest) -> tuple[list[DetectorSettings], dict[str, str]]:
    """The contenders at the request's image size, and the methods left out. Raises NothingToCompare."""
    own = request.settings
    contenders, left_out = [], dict(order.left_out)
    for settings in order.contenders:
        try:
            contenders.append(replace(settings, image_height=own.image_height, image_width=own.image_width))
        except ConfigError as e:
            left_out[settings.method] = str(e)
    if len({settings.method for settings in contenders}) < 2:
        why = "; ".join(f"{method}: {reason}" for method, reason in left_out.items()) or "no other was named"
        raise NothingToCompare(
            f"Fewer than two methods can be compared on {request.category!r}, so nothing was trained. {why}"
        )
    return contenders, left_out


def _divided(labelled: LabelledImages, everything: NormalImages, request: TrainingRequest) -> ComparedNormals:
    readable = set(everything.keys)
    training = [key for key in labelled.training if key in readable]
    if not training:
        raise NoNormals(
            f"Category {request.category!r} has no readable image labelled normal for training, so nothing was "
            f"compared. Label some: rd-inspect import FOLDER --category {request.category} --run-date DATE"
        )
    evaluation = [key for key in labelled.evaluation if key in readable]
    part_of = _part_of(everything.keys, request.part_pattern)
    try:
        return divide_normals(training, evaluation, part_of, request.settings.seed)
    except TooFewNormals as e:
        raise TooFewNormals(
            f"{e} Of {len(training)} normals, those of parts that judge the methods are not trained on."
        ) from e


def _part_of(keys: Sequence[str], pattern: str | None) -> dict[str, str]:
    """The part that each image shows, by key; without a pattern each shows one of its own."""
    return dict(zip(keys, parts_of_keys(keys, pattern, must_match=True), strict=True))


def _aligned(
    images: Store, normals: ComparedNormals, everything: NormalImages, request: TrainingRequest
) -> tuple[ImageFormat, ComparedNormals, NormalImages]:
    """The format of all images, with the alignment to the training normals if the settings ask for one, and the
    images seen through it."""
    if request.align is None:
        return request.image_format, normals, everything
    some = replace(everything, keys=normals.learnt_from)
    image_format, aligned, split = align_normals(images, some, normals.split, request.image_format, request.align)
    seen = read_normal_images(images, everything.keys, image_format)
    return image_format, replace(normals, learnt_from=aligned.keys, split=split), seen


def _judged(
    store: Store,
    images: Store,
    image_format: ImageFormat,
    labelled: LabelledImages,
    normals: ComparedNormals,
    seen: NormalImages,
    part_pattern: str | None,
) -> tuple[list[PlannedImage], list[str]]:
    """The judged images, in order, and notes about them."""
    part_of = _part_of(seen.keys, part_pattern)
    notes: list[str] = []
    good = sorted({*normals.keys("test"), *(key for key in labelled.evaluation if key in part_of)})
    bad = sorted(key for key in labelled.anomalous if key in part_of)

    def planned(key: str, **more: Any) -> PlannedImage:
        about = {"half": REPORTING, "is_anomalous": False, **dict.fromkeys(_OF_DEFECTS), **more}
        return PlannedImage(image_key=key, digest=seen.digests[key], part=part_of[key], **about)

    judged = [planned(key) for key in good]
    for key in bad:
        row = labelled.anomalous[key]
        share, why = _share(store, images, image_format, key, row["mask_key"])
        notes += [f"{key}: {why}"] if why else []
        about = {"is_anomalous": True, "kind": row["kind"], "defect_share": share}
        if share is not None:
            about |= {"mask_key": row["mask_key"], "mask_digest": bytes_there(store, row["mask_key"])}
        judged.append(planned(key, **about))
    if not bad:
        judged += _drawn(images, image_format, judged)
    choosing = halves_of(known_images(judged)).choosing
    trained_parts = {part_of[key] for name in _TRAINED for key in normals.keys(name)}
    shared = sum(part_of[key] in trained_parts for key in bad)
    if shared:
        notes.append(f"Defects on parts of which other images trained the methods: {shared} of {len(bad)}.")
    return [
        replace(one, half=CHOOSING if chooses else REPORTING) for one, chooses in zip(judged, choosing, strict=True)
    ], notes


def known_images(judged: Sequence[PlannedImage]) -> list[JudgedImage]:
    """What the judgement knows of judged images, in their order."""
    return [
        JudgedImage(one.name, one.part, one.is_anomalous, one.kind, one.defect_share, one.donor is not None)
        for one in judged
    ]


def _share(
    store: Store, images: Store, image_format: ImageFormat, key: str, mask_key: str | None
) -> tuple[float | None, str | None]:
    """The share of the counted pixels that the defect's mask covers, or why it cannot be told."""
    if mask_key is None:
        return None, None
    picture = read_picture(images, image_format, key)
    try:
        defect = labelled_defect(store, mask_key, picture, image_format.view)
    except Uncountable as e:
        return None, str(e)
    return _covered(defect, picture.counted), None


def _covered(defect: NDArray[np.bool_], counted: NDArray[np.bool_] | None) -> float:
    pixels = math.prod(defect.shape) if counted is None else int(np.count_nonzero(counted))
    return float(np.count_nonzero(defect)) / pixels


def _drawn(images: Store, image_format: ImageFormat, good: Sequence[PlannedImage]) -> list[PlannedImage]:
    """A defect drawn into each of these normals, with the texture of the next."""
    made = []
    for number, one in enumerate(good):
        donor = good[(number + 1) % len(good)].image_key
        image = replace(one, is_anomalous=True, donor=donor)
        picture, other = (read_picture(images, image_format, key) for key in (image.image_key, donor))
        judged = drawn(picture, other, image.name)
        if judged.defect is not None and judged.defect.any():
            made.append(replace(image, defect_share=_covered(judged.defect, judged.counted)))
    return made


def _notes(labelled: LabelledImages, everything: NormalImages, normals: ComparedNormals, alpha: float) -> list[str]:
    notes = []
    held_out, needed = len(normals.keys("calibration")), normals_needed(alpha)
    if held_out < needed:
        notes.append(
            f"Every threshold rests on {counted(held_out, 'held-out normal image')}, and {percent(alpha)} takes "
            f"{count(needed)} to prove: recall, false alarms and undecided are rough. AUROC and AP need no threshold."
        )
    if everything.unreadable:
        broken = counted(len(everything.unreadable), "labelled image")
        notes.append(f"{broken} cannot be read, such as {everything.unreadable[0][0]}.")
    if everything.duplicates:
        copies = counted(len(everything.duplicates), "labelled image")
        notes.append(f"Not used, with the same bytes as another one: {copies}.")
    if labelled.disputed:
        notes.append(f"Not used, because people disagree: {counted(labelled.disputed, 'image')}.")
    if normals.left_out:
        left = counted(normals.left_out, "normal image")
        notes.append(f"Not trained on, because other images of their parts judge: {left}.")
    return notes
