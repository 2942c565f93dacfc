"""The data of a comparison's report, filled by the caller."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from reports.scored_image import ScoredImage


@dataclass(frozen=True)
class Figure:
    """A value and its 95 % interval; None where undefined."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Ranked:
    """A figure of the ranking of images by one method's scores."""

    figure: Figure
    """median over its seeds"""
    lowest: float | None
    """of its seeds"""
    highest: float | None
    """of its seeds"""
    ahead: Figure | None = None
    """the reference's figure - this one, with an interval that holds together with those of all others; None: it is
    the reference"""
    p_value: float | None = None
    """that chance alone shows such a difference, corrected for the number of methods"""


@dataclass(frozen=True)
class Share:
    """The share of a group's images that were flagged."""

    name: str
    """a kind of defect as labelled, a range of sizes, or what is counted"""
    flagged: int
    total: int
    figure: Figure
    """flagged / total"""


@dataclass(frozen=True)
class ComparedMethod:
    """One method. All but `choosing` is of the images that report."""

    method: str
    seeds: tuple[int, ...]
    typical: int
    """the seed whose model decides and draws maps"""
    standing: str | None
    """best | not worse | lower | worse | flattered, by the half that chooses; None if nothing was chosen"""
    choosing: Ranked | None
    """image AUROC on the half that chooses; the best method is its reference; None if nothing was chosen"""
    auroc: Ranked | None
    """None if all images show one part, as for the next"""
    average_precision: Ranked | None
    pixel_auroc: float | None
    aupro_30: float | None
    aupro_05: float | None
    recall: Share
    false_alarms: Share
    undecided: Share
    by_kind: tuple[Share, ...]
    by_size: tuple[Share, ...]
    training_seconds: float
    """processor seconds"""
    images_per_second: float
    """of one processor"""
    peak_memory: int
    """bytes; 0: not measured"""
    model_bytes: int


@dataclass(frozen=True)
class JudgedCounts:
    """The images that report."""

    normal: int
    anomalous: int
    parts: int
    drawn: int
    """anomalous ones whose defect was drawn into a normal image"""


@dataclass(frozen=True, eq=False)
class MethodView:
    """What one method makes of an image."""

    method: str
    rank: float
    """of its score among the images that report, from 0 (the lowest) to 1"""
    scored: ScoredImage
    """with the map, in the unit of the method's own pixel threshold"""


@dataclass(frozen=True, eq=False)
class DisagreedImage:
    """An image that methods rank differently."""

    image_key: str
    label: str
    """normal | anomalous"""
    kind: str | None
    drawn: bool
    picture: NDArray[np.uint8] | None
    """uint8 (H, W, 3)"""
    defect: NDArray[np.bool_] | None
    """mask (h, w) of any size over the picture; None without one"""
    views: tuple[MethodView, ...]


@dataclass(frozen=True, eq=False)
class ComparisonReport:
    """One comparison."""

    category: str
    comparison_id: str
    store_uri: str
    """credentials in it are removed when drawn"""
    made_at: datetime
    alpha: float
    """promised false-alarm rate of every method's threshold"""
    sentence: str
    """the verdict with its reason"""
    named: str | None
    """method; None if none is named"""
    beyond_chance: bool
    """whether it is ahead of every other beyond chance"""
    reference: str
    """the method that others are compared with on the images that report"""
    near: float
    """image AUROC that a method may be below the best and still be named for its costs"""
    halves: str
    """which images choose and which report, as a sentence"""
    counts: JudgedCounts
    methods: tuple[ComparedMethod, ...]
    """best first"""
    disagreed: tuple[DisagreedImage, ...] = ()
    """most first"""
    failed: tuple[tuple[str, int, str], ...] = ()
    """(method, seed, why it could not be trained or scored)"""
    notes: tuple[str, ...] = ()
    """further sentences for the reader"""
    review_url: str | None = None
    """address of the review page"""
    software: Mapping[str, str] = field(default_factory=dict)
