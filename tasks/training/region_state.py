"""Whether a category's model in force has the ignored region in force, and what to do if not."""

from rd_core.pictures.ignored_regions import Ignore
from reports.ignored_region import version_in_words
from storage.errors import OF_ONE_OBJECT, Conflict
from storage.filesystem import Store
from storage.ignored_regions import in_force, read_history
from storage.models import models
from storage.models.card import SPLIT, ModelCard
from tasks.recalibration.labelled_normals import FEWEST_NORMALS, labelled_normals
from tasks.training.ignored import ignored_by


def region_to_do(store: Store, category: str) -> str | None:
    """What is left to do about the category's ignored region, in words; None if its champion has it, or without a
    champion. A damaged region is something to do, a damaged card is told elsewhere."""
    try:
        history = read_history(store, category)
    except (*OF_ONE_OBJECT, Conflict) as e:
        return f"{category}: {e}"
    try:
        card = models.champion_card(store, category)
    except OF_ONE_OBJECT:
        return None
    ignore = Ignore.of(in_force(history))
    if card is None or ignored_by(card) == ignore:
        return None
    newest = history[0] if history else None
    what = "there is none any more"
    if newest is not None:
        what = version_in_words(newest.polygons, newest.mask, newest.drawn_by, newest.drawn_at)
    begin = f"{category}: model {card.version} scores with another ignored region than the one in force ({what})."
    for version in reversed(models.list_versions(store, category)):
        try:
            made = models.read_card(store, category, version)
        except OF_ONE_OBJECT:
            continue
        if made.created_at > card.created_at and ignored_by(made) == ignore:
            return f"{begin} {version} has it: rd-inspect promote --category {category} --version {version}"
    train = f"rd-inspect train --category {category}"
    normals = _normals_to_recalibrate_with(store, card)
    if normals < FEWEST_NORMALS:
        return (
            f"{begin} For a version with it: {train}. To keep the weights, label more images normal: "
            f"recalibrating needs {FEWEST_NORMALS} that they have not learnt from, and there are {normals}."
        )
    return (
        f"{begin} For a version with it and the same weights: rd-inspect recalibrate --category {category}. For a "
        f"new one: {train}"
    )


def _normals_to_recalibrate_with(store: Store, card: ModelCard) -> int:
    """Labelled normals that the weights have not learnt from; 0 if that cannot be known."""
    try:
        learned = models.read_card(store, card.category, card.weights_version)
        apart = learned.calibration.method == SPLIT
        return len(labelled_normals(store, card.category, learned, None, None, held_out=apart).days)
    except OF_ONE_OBJECT:
        return 0
