"""The plan of a comparison."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storage import layout
from storage.comparisons.record import read_record
from storage.errors import AlreadyExists
from storage.stores import checked_json, json_records
from storage.stores.store import Store

CHOOSING, REPORTING = "choosing", "reporting"
PLAN = "plan.json"


@dataclass(frozen=True)
class PlannedImage:
    """A judged image: labelled, and no contender learns from it."""

    image_key: str
    digest: str
    """SHA-256 (hex) of its bytes"""
    part: str
    is_anomalous: bool
    half: str
    """CHOOSING or REPORTING; all report where there are too few for both"""
    kind: str | None
    """of the defect"""
    mask_key: str | None
    mask_digest: str | None
    """SHA-256 (hex) of the mask's bytes"""
    defect_share: float | None
    """share of the counted pixels that its mask covers; None without one"""
    donor: str | None
    """the normal whose texture is in the defect drawn into this one; None: nothing is drawn"""

    @property
    def name(self) -> str:
        """Unique in a comparison: a normal is also judged with a drawn defect."""
        return self.image_key if self.donor is None else f"{self.image_key}#drawn"


@dataclass(frozen=True)
class PlannedContender:
    """A method with a seed."""

    method: str
    seed: int
    settings: Mapping[str, Any]
    """all of the method's settings, as JSON"""
    digest: str
    """SHA-256 (hex, 16 characters) of all that decides about it"""


@dataclass(frozen=True)
class ComparisonPlan:
    """The inputs of a comparison; they never change."""

    category: str
    id: str
    """SHA-256 (hex, 16 characters) of them"""
    alpha: float
    view: Mapping[str, Any]
    """what all contenders see of an image, as in a model card"""
    white_level: float | None
    black_level: float | None
    max_pixels: int
    """as in a model card, too"""
    size_choice: str | None
    """how its size was chosen, a line for people; None: the settings said it"""
    part_pattern: str | None
    train: tuple[str, ...]
    """keys of normals"""
    early_stop: tuple[str, ...]
    calibration: tuple[str, ...]
    normals: Mapping[str, str]
    """SHA-256 (hex) of their bytes, by key"""
    judged: tuple[PlannedImage, ...]
    contenders: tuple[PlannedContender, ...]
    left_out: Mapping[str, str]
    """methods that cannot be compared: name -> why"""
    notes: tuple[str, ...]
    """what to know about the images, sentences"""

    @property
    def drawn(self) -> bool:
        """Whether the defects are drawn, because none is labelled."""
        return any(image.donor is not None for image in self.judged)

    @property
    def key(self) -> str:
        return plan_key(self.category, self.id)


def plan_key(category: str, comparison: str) -> str:
    return layout.comparisons_prefix(category, comparison) + PLAN


def write_plan(store: Store, plan: ComparisonPlan) -> None:
    """Repeating it changes nothing."""
    try:
        store.create(plan.key, checked_json.to_bytes(json_records.to_json(plan)))
    except AlreadyExists:
        read_plan(store, plan.key)


def read_plan(store: Store, key: str) -> ComparisonPlan:
    """Raises KeyNotFound, CorruptObject."""
    return read_record(ComparisonPlan, store, key, "the plan of a comparison")


def keys_that_chose(store: Store, category: str, comparison: str) -> frozenset[str]:
    """Keys of the images by which a comparison chose a method. Raises KeyNotFound for a lost comparison, of which
    nobody knows them, and CorruptObject."""
    plan = read_plan(store, plan_key(category, comparison))
    return frozenset(image.image_key for image in plan.judged if image.half == CHOOSING)
