"""Training a candidate from chosen old and new normals."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from rd_core.calibration import holdout
from rd_core.detectors import checkpoint, registry
from rd_core.detectors.detector import Detector
from storage.filesystem import Store, open_store
from storage.models import models
from storage.models.card import Origin, Retraining
from tasks.retraining.considered_normals import USED, ConsideredNormal, read_considered
from tasks.retraining.gather_normals import GatheredNormals
from tasks.training.choose_size import size_of
from tasks.training.fit_model import choose_split, fit_and_publish
from tasks.training.fitted_model import FittedModel
from tasks.training.normal_images import read_normal_images
from tasks.training.training_request import TrainingRequest
from tasks.worker.faults import ON_STORAGE_FAULT
from tasks.worker.worker_process import prepare_worker_process

TEST_SHARE = 0.1
"""share of the parts held out to compare candidate and champion"""


@dataclass(frozen=True)
class RefitOrder:
    """The inputs of a candidate."""

    request: TrainingRequest
    gathered: GatheredNormals
    from_scratch: bool
    """new initial weights; else the champion's"""


@task(name="refit-model", task_run_name="refit {order.request.category}", cache_policy=NO_CACHE, **ON_STORAGE_FAULT)
def refit_model(store_uri: str, images_uri: str, order: RefitOrder, *, run_id: str, now: datetime) -> FittedModel:
    """Train on the gathered normals, calibrate and publish; never promote.

    Starts from the champion's weights if its settings equal the request's and images apart from those it trains on
    set the threshold, else from scratch. The card has the source of every image. Raises holdout's error for too few
    normals, TeacherUnavailable.
    """
    prepare_worker_process()
    store, images = open_store(store_uri), open_store(images_uri, read_only=True)
    request, gathered = order.request, order.gathered
    used = [row for row in read_considered(store, gathered.key) if row.state in USED]
    keys = sorted(row.image_key for row in used)
    if request.size_is_auto:
        champion = models.read_card(store, request.category, gathered.champion)
        kept = size_of(champion, request.view)
        request = request.sized(kept) if kept else request.fitted(images, keys)
    normals = read_normal_images(images, keys, request.image_format)
    new = {row.image_key for row in used if row.is_new}
    parts, is_new, seed = (
        normals.parts(request.part_pattern),
        [key in new for key in normals.keys],
        request.settings.seed,
    )
    split = choose_split(
        request,
        parts,
        lambda share: holdout.split_old_and_new(
            normals.names, parts, is_new, test=TEST_SHARE, calibration=share, seed=seed
        ),
    )
    start = None if order.from_scratch else _start(store, gathered.champion, request, cross=not split.calibration)
    if start is not None:
        apart = holdout.with_learned(split, parts, _learned(store, request.category, gathered.champion, normals.keys))
        if apart is None:
            start = None
            get_run_logger().warning(
                "retraining category=%s from scratch: the champion %s has learnt from most parts that would stop the "
                "training or set the threshold, as after a change of part_pattern or seed",
                request.category, gathered.champion,
            )  # fmt: skip
        else:
            split = apart
    started_from = None if start is None else gathered.champion
    fitted = fit_and_publish(
        store,
        images,
        request,
        normals,
        split,
        now=now,
        run_id=run_id,
        retraining=_retraining(gathered, started_from, used),
        start=start,
        new=new,
    )
    return replace(fitted, started_from=started_from)


def _learned(store: Store, category: str, champion: str, keys: Sequence[str]) -> set[int]:
    """Which images the champion's weights have learnt from."""
    weights = models.read_card(store, category, champion).weights_version
    trained = {*models.read_card(store, category, weights).images.train}
    return {number for number, key in enumerate(keys) if key in trained}


def _retraining(gathered: GatheredNormals, started_from: str | None, used: Sequence[ConsideredNormal]) -> Retraining:
    return Retraining(
        champion=gathered.champion,
        started_from=started_from,
        considered=gathered.counts,
        normals=gathered.key,
        digest=gathered.digest,
        provenance={
            row.image_key: Origin(row.labelled_by, row.labelled_at, row.day, row.is_new)
            for row in sorted(used, key=lambda row: row.image_key)
        },
    )


def _start(store: Store, champion: str, request: TrainingRequest, *, cross: bool) -> Detector | None:
    if not registry.method(request.settings.method).continues:
        return None
    if cross:
        get_run_logger().info(
            "retraining category=%s from scratch: all its normals set the threshold, and the champion %s has learnt "
            "from the parts that they show",
            request.category, champion,
        )  # fmt: skip
        return None
    if models.read_card(store, request.category, champion).method.name == request.settings.method:
        model = checkpoint.from_bytes(models.read_weights(store, request.category, champion))
        if model.settings.of_weights() == request.settings.of_weights():
            return model
    get_run_logger().warning(
        "retraining category=%s from scratch: the champion %s has another method or other settings than "
        "the request",
        request.category, champion,
    )  # fmt: skip
    return None
