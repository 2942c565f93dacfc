"""The input of a training from the settings, with the method that `auto` stands for."""

from dataclasses import replace

from flows.category_settings import AUTO
from flows.settings import Settings
from storage.filesystem import open_store
from storage.models.card import MethodChoice
from storage.models.models import champion_card
from tasks.training.ignored import ignored_now
from tasks.training.training_request import TrainingRequest


def training_request(
    settings: Settings, category: str, method: str | None = None, choice: MethodChoice | None = None
) -> TrainingRequest:
    """A training request from the settings, and the ignored region in force. SettingsError for a setting that the
    method does not have, StorageError for a region that cannot be read.

    method: default the category's, and for `auto` the default method. choice: what chose it.
    """
    chosen = settings.category(category)
    return TrainingRequest(
        category=category,
        settings=settings.detector(category, method),
        size_is_auto=chosen.image_size == "auto",
        view=replace(chosen.view, ignore=ignored_now(open_store(settings.store, read_only=True), category)),
        align=None if chosen.align == "none" else chosen.align,
        teacher_weights=chosen.teacher_weights,
        alpha=chosen.alpha,
        calibration=chosen.calibration,
        extrapolate=chosen.extrapolate,
        part_pattern=chosen.part_pattern,
        white_level=chosen.white_level,
        black_level=chosen.black_level,
        max_pixels=chosen.max_pixels,
        engine=chosen.engine,
        review_url=settings.plant.review_url,
        method_choice=choice,
    )


def retraining_request(settings: Settings, category: str) -> TrainingRequest:
    """As `training_request`; for `auto` with the champion's method. Raises KeyNotFound, CorruptObject for its
    card."""
    card = None
    if settings.category(category).method == AUTO:
        card = champion_card(open_store(settings.store, read_only=True), category)
    if card is None:
        return training_request(settings, category)
    return training_request(settings, category, card.method.name, card.method.choice)
