"""What each command refuses before anything is started, beyond `flows.preflight.checks`.

A run that can do something for some of its categories begins, and reports the others.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

from flows.preflight.comparison_choice import contenders_of
from flows.preflight.drift_choice import drift_settings, drift_window, sealed_models
from flows.preflight.evaluation_choice import choose_evaluation
from flows.preflight.grid_choice import chosen_categories, chosen_days, refuse_unknown_version
from flows.preflight.redecision import refuse_redecision
from flows.preflight.unlabelled_choice import UnlabelledDays, choose_unlabelled
from flows.settings import Settings, SettingsError, nearest
from rd_core.detectors.registry import settings_class
from rd_core.errors import ConfigError, TeacherUnavailable
from rd_core.features.backbone_spec import teacher_spec
from rd_core.features.weight_source import refuse_unavailable
from storage.errors import StorageError
from storage.filesystem import open_store
from storage.labels.labels import list_label_categories, normal_image_keys
from storage.models import models
from tasks.worker.preprocessing import why_unusable

DEMO_MARKER = "made-by-rd-inspect-demo"
"""object that marks a folder as a demo's, which may be emptied"""


def refuse_unlabelled_training(
    settings: Settings, categories: Sequence[str] | None, first: date, last: date
) -> list[UnlabelledDays]:
    """What would be trained on. Refuse as `choose_unlabelled`, for settings that a method does not have, and for
    unavailable teachers."""
    chosen = choose_unlabelled(settings, categories, first, last)
    _refuse_methods(settings, [one.category for one in chosen])
    return chosen


def refuse_training(settings: Settings, categories: Sequence[str] | None) -> None:
    """Refuse if no category has a label to train on, for settings that a method does not have, and for unavailable
    teachers."""
    store = open_store(settings.store, read_only=True)
    labelled = list_label_categories(store)
    if not (categories or labelled):
        raise SettingsError(
            f"No category in {settings.store} has labels, so there is nothing to train on. "
            "Import normal images: rd-inspect import FOLDER --category C --run-date DATE"
        )
    chosen = list(categories or labelled)
    for name in chosen:
        with suppress(StorageError):  # the training reports unreadable labels
            if normal_image_keys(store, name):
                break
            continue
        break
    else:
        raise SettingsError(
            f"No image of {', '.join(chosen)} is labelled normal for training in {settings.store}, so nothing was "
            f"started. Label some: rd-inspect import FOLDER --category {chosen[0]} --run-date DATE"
        )
    _refuse_methods(settings, chosen)


def refuse_comparison(settings: Settings, category: str, methods: Sequence[str] | None, seeds: int) -> None:
    """Refuse a category without normals to train on, fewer than two methods that its settings allow, and unavailable
    teachers."""
    refuse_training(settings, [category])
    contenders_of(settings, category, methods, seeds)


def refuse_retraining(settings: Settings, categories: Sequence[str] | None) -> None:
    """Refuse categories without labels, settings that a method does not have, and unavailable teachers."""
    known = list_label_categories(open_store(settings.store, read_only=True))
    for name in categories or ():
        if name not in known:
            raise SettingsError(f"Category {name!r} has no labels{nearest(name, known)} Nothing was retrained.")
    _refuse_methods(settings, list(categories or known))


def refuse_evaluation(
    settings: Settings, first: date | None, last: date | None, categories: Sequence[str] | None
) -> None:
    """NothingToEvaluate; a StorageError if no labels can be read."""
    choose_evaluation(open_store(settings.store, read_only=True), first, last, categories)


def refuse_drift(
    settings: Settings,
    first: date | None,
    last: date | None,
    categories: Sequence[str] | None,
    options: dict[str, Any] | None,
) -> None:
    """Refuse reversed days, categories without a complete day, drift settings out of range."""
    store = open_store(settings.store, read_only=True)
    drift_settings({**settings.drift, **(options or {})}, models=1)
    if window := drift_window(store, first, last):
        sealed_models(store, *window, categories)


def refuse_backfill(
    settings: Settings,
    first: date | None,
    last: date | None,
    categories: Sequence[str] | None,
    model: str | None,
    *,
    redecide: bool = False,
) -> None:
    """Refuse reversed days, categories without images, model versions that are missing or cannot score here, and
    deciding anew by scores that are not comparable."""
    chosen = chosen_categories(settings, categories)
    window = chosen_days(settings, chosen, first, last)
    store = open_store(settings.store, read_only=True)
    if redecide:
        for name in chosen:
            refuse_redecision(store, name, model, *window)
    if model:
        refuse_unknown_version(store, chosen, model)
        for name in chosen:
            if why := why_unusable(models.read_card(store, name, model)):
                raise SettingsError(f"{why} Nothing was started.")


def refuse_benchmark(folder: Path, method: str, teacher: str | None) -> None:
    """Refuse a missing folder, an unknown method or teacher; the rest is checked once the networks are imported."""
    if not folder.is_dir():
        raise SettingsError(
            f"{folder} is not a folder, so nothing was computed. Name one that holds <category>/train/good/*, "
            "<category>/test/good/* and <category>/test/<kind>/*, or train/<class>/* and test/<class>/*."
        )
    try:
        settings_class(method)
        if teacher is not None:
            teacher_spec(teacher)
    except ConfigError as e:
        raise SettingsError(f"{e} Nothing was computed.") from e


def refuse_demo(store: str) -> None:
    """Refuse a place that the demo must not empty."""
    if "://" in store:
        raise SettingsError(
            f"--store {store}: the demo empties its store, so it must be a local folder. Nothing was started; "
            "name one."
        )
    folder = Path(store)
    if folder.is_file():
        raise SettingsError(f"{folder} is a file, so it was left as it is. Name another folder with --store.")
    if folder.exists() and any(folder.iterdir()) and not (folder / DEMO_MARKER).exists():
        raise SettingsError(
            f"{folder} was not made by the demo, so it was left as it is. Name another folder with --store."
        )


def _refuse_methods(settings: Settings, categories: Sequence[str]) -> None:
    """On a running cluster, the teachers' weights and other files are a matter of its workers."""
    for name in categories:
        settings.detector(name)
    if settings.plant.dask_address:
        return
    wanted = {(chosen.teacher, chosen.teacher_weights) for chosen in map(settings.category, categories)}
    for name, file in sorted(wanted, key=str):
        try:
            refuse_unavailable(name, teacher_spec(name).source, file)
        except TeacherUnavailable as e:
            raise SettingsError(f"{str(e)[0].upper()}{str(e)[1:]} Nothing was started.") from e
    for name in categories:
        try:
            settings.detector(name).refuse_unavailable()
        except ConfigError as e:
            raise SettingsError(f"Category {name!r}: {e} Nothing was started.") from e
