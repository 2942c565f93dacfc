"""Training: a model version for each category, from its normal images."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from prefect import flow, get_run_logger
from prefect.runtime import flow_run

from flows.category_settings import AUTO
from flows.comparison import choose_method
from flows.dask_cluster import dask_cluster, dask_runner
from flows.errors import RunFailed, in_words
from flows.preflight.checks import known_categories, refuse_mistyped_tables
from flows.preflight.unlabelled_choice import choose_unlabelled
from flows.printing.numbers import counted
from flows.settings import Settings, load_settings, store_uri
from flows.training_request import training_request
from flows.watching.artifacts import leave_table
from flows.watching.progress import progress_bars
from flows.watching.run_names import named, of_categories, today
from flows.workplace import settle
from storage.filesystem import open_store
from storage.labels.labels import list_label_categories
from tasks.training.fit_model import NoNormals, fit_model
from tasks.training.fitted_model import FittedModel
from tasks.training.training_request import TrainingRequest


class TrainingFailed(RunFailed):
    """Some category has no new model; the message says which, and why."""


@dataclass(frozen=True)
class TrainingRun:
    """The model versions of one training."""

    run_id: str
    models: tuple[FittedModel, ...]


@flow(name="train-model", flow_run_name=named("train", today))
def train_model(
    store: str | None = None,
    categories: list[str] | None = None,
    *,
    images: str | None = None,
    promote: bool = False,
    dask_address: str | None = None,
    options: dict[str, Any] | None = None,
    unlabelled: tuple[date, date] | None = None,
) -> TrainingRun:
    """Train one model for each of `categories`, side by side.

    Args:
        store: URI; default `RD_INSPECT_STORE`.
        categories: names; default every category with labels.
        images: URI of the images' own store; default `store`.
        promote: make the new versions champions; a category's first version always becomes champion.
        dask_address: a running Dask scheduler; default an embedded cluster.
        options: settings of a category or its method, such as {"steps": 500}; they override every other source.
        unlabelled: first and last production day whose images are taken for normals, whether labelled or not, but
            those that somebody calls anomalous; default the labelled normals.

    Raises TrainingFailed when a category could not be trained; the others are.
    """
    settings = load_settings(
        store_uri(store), options={"images": images, "dask_address": dask_address, **(options or {})}
    )
    refuse_mistyped_tables(settings, known_categories(settings))
    requests = _requests(settings, categories, unlabelled, str(flow_run.id))
    chosen = [request.category for request in requests]
    with (
        dask_cluster(settings, most_workers=len(chosen)) as scheduler,
        progress_bars(scheduler, "train", dict.fromkeys(chosen)),
    ):
        fit = fit_models.with_options(task_runner=dask_runner(scheduler))
        models, problems = fit(settings.store, settings.images, requests, str(flow_run.id), promote)
    rows = [_artifact_row(model) for model in models]
    leave_table("trained-models", settings, rows, f"{counted(len(models), 'model')} trained", problems=problems)
    if problems:
        raise TrainingFailed("\n".join(f"{category}: {why}" for category, why in problems))
    return TrainingRun(run_id=str(flow_run.id), models=tuple(models))


def _requests(
    settings: Settings, categories: list[str] | None, unlabelled: tuple[date, date] | None, run_id: str
) -> list[TrainingRequest]:
    """One a category; where its method is `auto`, after the comparison that names one."""
    if unlabelled:
        days = choose_unlabelled(settings, categories, *unlabelled)
        for one in days:
            get_run_logger().info("%s", one.words)
        return [replace(training_request(settings, one.category), unlabelled=one.days) for one in days]
    chosen = categories or list_label_categories(open_store(settings.store, read_only=True))
    if not chosen:
        raise NoNormals(
            f"No category in {settings.store} has labels, so there is nothing to train on. "
            "Import normal images: rd-inspect import FOLDER --category C --run-date DATE"
        )
    return [
        training_request(settings, category, *choose_method(settings, category, run_id))
        if settings.category(category).method == AUTO
        else training_request(settings, category)
        for category in dict.fromkeys(chosen)
    ]


def _in_short(parameters: Mapping[str, Any]) -> str:
    return of_categories([parameter.category for parameter in parameters["requests"]])


@flow(name="fit-models", flow_run_name=named("fit", _in_short), validate_parameters=False)
def fit_models(
    store: str, images: str, requests: list[TrainingRequest], run_id: str, promote: bool
) -> tuple[list[FittedModel], list[tuple[str, str]]]:
    """Train on Dask: (new models, problems by category)."""
    now = datetime.now(UTC)
    models, problems = settle(
        {
            request.category: fit_model.submit(store, images, request, run_id=run_id, now=now, promote=promote)
            for request in requests
        }
    )
    for category, why in problems.items():
        get_run_logger().error("training failed run=%s category=%s: %s", run_id, category, in_words(why))
    return list(models.values()), [(category, in_words(why)) for category, why in problems.items()]


def _artifact_row(model: FittedModel) -> dict[str, Any]:
    return {
        "category": model.category,
        "version": model.version,
        "champion": model.champion,
        "train": model.train,
        "calibration": model.calibration,
        "threshold": round(model.threshold, 4),
        "set aside": len(model.set_aside),
        "page": model.page,
        "seconds": round(model.seconds, 1),
    }
