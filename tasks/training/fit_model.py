"""A model version from the normals of a category."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from rd_core.calibration import holdout
from rd_core.calibration.threshold import MINIMUM_SCORES, calibrate, normals_needed
from rd_core.detectors import checkpoint, registry
from rd_core.detectors.detector import CrossFit, Detector, FitProgress, FitRun, Normals
from rd_core.detectors.training import Fitted, train
from rd_core.engines.choice import AUTO
from rd_core.engines.measurement import EngineChoice, choose_engine, refuse_impossible
from rd_core.engines.tiled import seeing
from rd_core.errors import CheckpointError, TooFewNormals
from rd_core.files.training_state import Resumption
from rd_core.kernels.precision import default_device, is_quick
from rd_core.pictures.alignment import require_alignment
from rd_core.pictures.tiling import Tiling
from reports.promise import promise_in_words
from storage import layout
from storage.filesystem import Store, open_store
from storage.labels import labels
from storage.models import models
from storage.models.card import CROSS, SPLIT, ModelCard, Retraining, WeightsFile
from tasks.reporting.promise import promise_of
from tasks.training.calibration import Calibration, HeldOutNormals, judge_held_out
from tasks.training.fitted_model import FittedModel
from tasks.training.ignored import ignored_by, ignored_share, too_small
from tasks.training.model_card import model_card
from tasks.training.normal_alignment import align_normals
from tasks.training.normal_images import NormalImages, PixelSource, read_normal_images, unlabelled_keys
from tasks.training.set_aside_report import write_set_aside_report
from tasks.training.tiled_normals import TiledNormals, in_words
from tasks.training.training_request import TrainingRequest
from tasks.training.unfinished_training import UnfinishedTraining, training_digest
from tasks.worker.faults import ON_STORAGE_FAULT
from tasks.worker.preprocessing import PREPROCESSING_VERSION
from tasks.worker.progress import tell_phase
from tasks.worker.scorer import model_for_scoring
from tasks.worker.worker_process import prepare_worker_process

FEWEST_TO_TRAIN = 2
"""images that a method can be fitted to"""


class NoNormals(Exception):
    """A category has no normals to train on."""


def _unread(store: Store, category: str) -> str:
    prefix = layout.labels_prefix(category)
    keys = [key for key in labels.unread_label_keys(store) if key.startswith(prefix)]
    return f"{keys[0]} is not a label file: import it with rd-inspect labels." if keys else ""


@task(name="fit-model", task_run_name="fit {request.category}", cache_policy=NO_CACHE, **ON_STORAGE_FAULT)
def fit_model(
    store_uri: str, images_uri: str, request: TrainingRequest, *, run_id: str, now: datetime, promote: bool
) -> FittedModel:
    """Train, calibrate, publish; promote on request, or if the category has no champion.

    Raises NoNormals, holdout's error for too few of them, TeacherUnavailable, AlignmentUnavailable, NoCommonPart.
    """
    prepare_worker_process()
    if request.align is not None:
        require_alignment()
    store = open_store(store_uri)
    images = open_store(images_uri, read_only=True)
    request, normals = _find_normals(store, images, request)
    try:
        parts, seed = normals.parts(request.part_pattern), request.settings.seed
        split = choose_split(
            request, parts, lambda share: holdout.split(normals.names, parts, calibration=share, seed=seed)
        )
    except TooFewNormals as e:
        raise TooFewNormals(" ".join(filter(None, (str(e), normals.left_out)))) from e
    fitted = fit_and_publish(store, images, request, normals, split, now=now, run_id=run_id)
    if not promote and models.read_champion(store, request.category) is not None:
        return fitted
    models.promote(store, request.category, fitted.version, by=f"training run {run_id}", now=now)
    get_run_logger().info("model promoted run=%s category=%s model=%s", run_id, request.category, fitted.version)
    return replace(fitted, champion=True)


def _find_normals(store: Store, images: Store, request: TrainingRequest) -> tuple[TrainingRequest, NormalImages]:
    """The request, with an image size that fits its normals where it is to be chosen, and the normals. Raises
    NoNormals."""
    category = request.category
    if request.unlabelled:
        keys = unlabelled_keys(store, images, category, request.unlabelled)
        asked, cure = f"image of {request.unlabelled[0]} to {request.unlabelled[-1]}", "Name other days."
    else:
        keys = labels.normal_image_keys(store, category)
        asked = "image labelled normal"
        cure = f"Label some: rd-inspect import FOLDER --category {category} --run-date DATE"
    if request.size_is_auto:
        request = request.fitted(images, keys)
    normals = replace(read_normal_images(images, keys, request.image_format), unlabelled=request.unlabelled)
    if not normals.keys:
        raise NoNormals(
            f"Category {category!r} has no readable {asked} in {store.uri}, so nothing was trained. "
            f"{normals.left_out or _unread(store, category)} {cure}"
        )
    return request, normals


def choose_split(
    request: TrainingRequest, parts: Sequence[str], split: Callable[[float], holdout.Split]
) -> holdout.Split:
    """The split of normals for a request; without calibration images the training cross-fits, if the method can.

    parts: of the normals. split: makes a split with a share of images to calibrate on, and with none where that is 0.
    Raises TooFewNormals where nearly all normals show one part, so that neither way gives a threshold.
    """
    apart, whole = split(holdout.CALIBRATION), split(0.0)
    if request.calibration == "auto" and not request.settings.cross_fits:
        return apart
    if request.calibration != "auto":
        return apart if request.calibration == SPLIT else whole
    if len({parts[number] for number in apart.calibration}) >= normals_needed(request.alpha):
        return apart
    ((part, images),) = Counter(parts[number] for number in whole.train).most_common(1)
    if len(whole.train) - images < FEWEST_TO_TRAIN:
        raise TooFewNormals(
            f"{images} of {len(parts)} normal images of {request.category} show the part {part!r}: the others are "
            "too few to train a model that has not seen it, and images of one part prove no false-alarm rate. Label "
            "images of more parts, or correct part_pattern if these are not of one part."
        )
    return whole


@dataclass(frozen=True, eq=False)
class CalibratedFit:
    """A trained model with its threshold, not published."""

    request: TrainingRequest
    """with the alignment in its view"""
    normals: NormalImages
    split: holdout.Split
    fitted: Fitted
    calibration: Calibration
    weights: bytes
    ready: Detector[Any]
    """for scoring"""
    unfinished: UnfinishedTraining
    """to be discarded when the model is kept"""

    def card(
        self, engine: EngineChoice, *, version: str, now: datetime, run_id: str, retraining: Retraining | None = None
    ) -> ModelCard:
        """The model's card."""
        return model_card(
            self.request, self.normals, self.split, self.fitted, self.calibration, engine, version=version,
            created_at=now, run_id=run_id, retraining=retraining, weights=WeightsFile.of(self.weights),
        )  # fmt: skip


def fit_and_publish(
    store: Store,
    images: Store,
    request: TrainingRequest,
    normals: NormalImages,
    split: holdout.Split,
    *,
    now: datetime,
    run_id: str,
    retraining: Retraining | None = None,
    start: Detector | None = None,
    new: Collection[str] = (),
) -> FittedModel:
    """Train and calibrate as `fit_and_calibrate`, and publish with the card; promotes nothing. Raises
    EngineUnavailable, before the fit, for an engine that cannot compute such a model."""
    refuse_impossible(request.engine, registry.method(request.settings.method), request.settings)
    model = fit_and_calibrate(store, images, request, normals, split, start=start, new=new)
    request, fitted, threshold = model.request, model.fitted, model.calibration.threshold
    engine = (
        choose_engine(model.ready, ignoring=not request.view.counts_all)
        if request.engine == AUTO
        else EngineChoice(request.engine, "the settings said so")
    )
    model_version = models.new_version(model.weights, now)
    card = model.card(engine, version=model_version, now=now, run_id=run_id, retraining=retraining)
    models.publish_model(store, card, model.weights)
    model.unfinished.discard()
    page = _show_odd(store, images, card, model.calibration, request.review_url)
    tell_phase(request.bar, "trained", done=1, total=1)
    get_run_logger().info(
        "model trained category=%s model=%s method=%s normals=%d seconds=%.1f threshold=%.4f engine=%s (%s)",
        request.category, model_version, fitted.detector.name, len(model.split.train),
        fitted.report.seconds, threshold.value, engine.library, engine.why,
    )  # fmt: skip
    tiling = Tiling.of(request.view)
    tiles = None if tiling is None else _tiles_in_words(tiling, request, model.split)
    return replace(_receipt(card, model.normals, fitted, model.calibration), page=page, tiles=tiles)


def fit_and_calibrate(
    store: Store,
    images: Store,
    request: TrainingRequest,
    normals: NormalImages,
    split: holdout.Split,
    *,
    start: Detector | None = None,
    new: Collection[str] = (),
) -> CalibratedFit:
    """Train on `split` of `normals` and calibrate.

    A split without calibration images is cross-fitted. `start`: a model with the same settings to start from, not
    when cross-fitting: it has seen the parts. `new`: keys of normals new to any model; the threshold keeps its
    promise for them alone too. Resumes an interrupted training. Raises as `calibrate`.
    """
    if request.align is not None:
        aligned, normals, split = align_normals(images, normals, split, request.image_format, request.align)
        request = replace(request, view=aligned.view)
    _warn_of_slow_precision(request)
    if small := too_small(request.view, normals.sizes[normals.keys[0]]):
        get_run_logger().warning("ignored regions category=%s: %s", request.category, small)
    if normals.left_out:
        get_run_logger().warning("normals left out category=%s: %s", request.category, normals.left_out)
    unfinished = UnfinishedTraining(store, request.category, _digest(request, normals, split, start))
    parts = _parts(normals, split, request)
    view = request.image_format.view
    held_out = HeldOutNormals(
        _of(normals, _held_out(split)),
        parts,
        normals.statistics,
        new,
        lambda key, grid: view.counted(normals.sizes[key], grid, normals.offsets.get(key)),
        normals.offsets,
    )
    if not request.extrapolate or len(held_out.keys) < MINIMUM_SCORES:  # refuse now what would fail after the fit
        calibrate(range(len(held_out.keys)), request.alpha, extrapolate=request.extrapolate)
    fitted = _fit(images, normals, split, request, start, unfinished, held_out)
    tell_phase(request.bar, "threshold")
    weights = checkpoint.to_bytes(fitted.detector)
    ready = model_for_scoring(weights)
    if split.calibration:
        seen = seeing(request.view, ready, ready)
        judge_held_out(seen, PixelSource(images, held_out.keys, request.image_format, normals), held_out)
    calibration = held_out.calibrate(request.alpha, extrapolate=request.extrapolate)
    return CalibratedFit(request, normals, split, fitted, calibration, weights, ready, unfinished)


def _warn_of_slow_precision(request: TrainingRequest) -> None:
    if request.settings.precision != "float32" and not is_quick(default_device()):
        get_run_logger().warning(
            "precision=%s category=%s: this processor does not multiply %s itself, so training takes longer than in "
            "float32, as scoring will on workers like this one",
            request.settings.precision, request.category, request.settings.precision,
        )  # fmt: skip


def _show_odd(
    store: Store, images: Store, card: ModelCard, calibration: Calibration, review_url: str | None
) -> str | None:
    """Tell of the normals set aside and of the highest, and write their page, whose key is returned."""
    more, aside = calibration.more_suspects, calibration.set_aside
    if not aside and not calibration.highest:
        return None
    page = write_set_aside_report(
        store, images, card, highest=calibration.highest, more_suspects=more, review_url=review_url
    )
    if aside:
        get_run_logger().warning(
            "normals set aside category=%s model=%s count=%d page=%s first=%s: %s",
            card.category, card.version, len(aside), page, *next(iter(aside.items())),
        )  # fmt: skip
    return page


def _held_out(split: holdout.Split) -> tuple[int, ...]:
    """The images that set the threshold; when cross-fitting in the order that `CrossFit` numbers them."""
    return split.calibration or (*split.train, *split.early_stop)


def _receipt(card: ModelCard, normals: NormalImages, fitted: Fitted, calibration: Calibration) -> FittedModel:
    return FittedModel(
        category=card.category,
        version=card.version,
        method=card.method.name,
        train=len(card.images.train),
        early_stop=len(card.images.early_stop),
        calibration=len(card.calibration.scores),
        duplicates=len(normals.duplicates),
        unreadable=len(normals.unreadable),
        fit=fitted.report.summary,
        seconds=fitted.report.seconds,
        threshold=card.threshold.value,
        threshold_is_extrapolated=card.threshold.extrapolated,
        champion=False,
        cross=card.calibration.method == CROSS,
        set_aside=calibration.set_aside,
        more_suspects=calibration.more_suspects,
        highest=calibration.highest,
        promise=promise_in_words(promise_of(card)),
        size_choice=card.preprocessing.size_choice,
        method_choice=card.method.choice.sentence if card.method.choice else None,
        test=len(card.images.test),
        left_out=normals.left_out,
        unlabelled=normals.unlabelled,
        ignored=ignored_share(ignored_by(card)),
    )


def _digest(request: TrainingRequest, normals: NormalImages, split: holdout.Split, start: Detector | None) -> str:
    train, early_stop = _of(normals, split.train), _of(normals, split.early_stop)
    levels = {"white": request.white_level, "black": request.black_level}
    pixels = {"preprocessing": PREPROCESSING_VERSION, "view": request.view.to_dict(), **levels}
    cross = None if split.calibration else _parts(normals, split, request)
    return training_digest(
        request.settings.method, request.settings, normals.data_digest, train, early_stop, start, pixels, cross
    )


def _parts(normals: NormalImages, split: holdout.Split, request: TrainingRequest) -> list[str]:
    """The part of each held-out image."""
    parts = normals.parts(request.part_pattern)
    return [parts[index] for index in _held_out(split)]


def _fit(
    images: Store,
    normals: NormalImages,
    split: holdout.Split,
    request: TrainingRequest,
    start: Detector | None,
    unfinished: UnfinishedTraining,
    held_out: HeldOutNormals,
) -> Fitted:
    learnt_from, cross = _learnt_and_judged(images, normals, split, request, held_out)

    def tell_step(progress: FitProgress) -> None:
        tell_phase(request.bar, progress.phase, progress.done, progress.total)

    if cost := request.settings.cost_in_words(len(learnt_from.train), len(learnt_from.early_stop)):
        get_run_logger().info("training cost category=%s: %s", request.category, cost)

    def fit(resumption: Resumption) -> Fitted:
        return train(
            request.settings.method,
            request.settings,
            learnt_from,
            FitRun(tell_step, resumption, cross, request.shared),
            start=start,
            teacher_weights=request.teacher_weights,
        )

    state = unfinished.resumption()
    try:
        return fit(state)
    except CheckpointError as e:
        if state.state is None:
            raise
        get_run_logger().warning(
            "training starts from scratch category=%s: its stored state cannot be used: %s", request.category, e
        )
        return fit(unfinished.from_the_first_step())


def _learnt_and_judged(
    images: Store, normals: NormalImages, split: holdout.Split, request: TrainingRequest, held_out: HeldOutNormals
) -> tuple[Normals, CrossFit | None]:
    """What the fit learns from, and what it judges where it cross-fits: whole images, or crops and tiles."""
    train, early_stop = (
        PixelSource(images, _of(normals, chosen), request.image_format, normals)
        for chosen in (split.train, split.early_stop)
    )
    tiling, crosses = Tiling.of(request.view), not split.calibration
    if tiling is None:
        cross = CrossFit(held_out.parts, held_out.set_aside, held_out.judge)
        return Normals(train, early_stop), cross if crosses else None
    tiled = TiledNormals(train, early_stop, tiling, request.settings.seed, remembered=request.settings.remembers)
    words = _tiles_in_words(tiling, request, split)
    get_run_logger().info("training in tiles category=%s: %s", request.category, words)
    maximum_is_score = checkpoint.blank(request.settings).score_is_map_maximum
    return tiled.crops, tiled.cross(held_out, maximum_is_score=maximum_is_score) if crosses else None


def _tiles_in_words(tiling: Tiling, request: TrainingRequest, split: holdout.Split) -> str:
    return in_words(tiling, len(split.train), remembered=request.settings.remembers)


def _of(normals: NormalImages, indices: Sequence[int]) -> list[str]:
    return [normals.keys[index] for index in indices]
