"""What the gate is given and what it says."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rd_core.errors import ConfigError
from rd_core.metrics.decisions import check_threshold
from rd_core.metrics.image_metrics import check_images, check_scores
from rd_core.settings import check_ranges


@dataclass(frozen=True)
class GateSettings:
    """What a candidate may lose, and how sure one must be."""

    auroc_margin: float = 0.01
    """largest loss of image AUROC"""
    aupro_margin: float = 0.02
    """largest loss of AUPRO"""
    recall_margin: float = 0.05
    """largest loss of recall, each model at its own threshold"""
    kind_margin: float = 0.10
    """largest loss of recall within one kind of defect, as measured: kinds have too few images to be sure"""
    confidence: float = 0.95
    """of every bound and test, one-sided"""
    resamples: int = 2000
    """of the bootstrap"""
    slowdown: float = 1.25
    """largest ratio of the times an image, where both models are of one method"""
    growth: float = 1.10
    """largest ratio of the sizes of the weights, likewise"""
    fewest_normals: int = 20
    """parts with a normal image, fewer tell nothing"""
    fewest_defects: int = 30
    """parts with an anomalous image, fewer tell nothing: a recall that is worse by 0.10, twice its margin, loses none
    of 30 by chance in 0.9^30 = 4 % of cases, and none of 5 in 59 %"""
    seed: int = 0
    """of the bootstrap: the same scores, the same decision"""

    def __post_init__(self) -> None:
        check_ranges(self, _RANGES, "where the gate would let everything pass or nothing")


_RANGES = (
    ("auroc_margin", 0.0, 1.0),
    ("aupro_margin", 0.0, 1.0),
    ("recall_margin", 0.0, 1.0),
    ("kind_margin", 0.0, 1.0),
    ("confidence", 0.5, 0.9999),
    ("resamples", 100, 1_000_000),
    ("slowdown", 1.0, 1000.0),
    ("growth", 1.0, 1000.0),
    ("fewest_normals", 2, 1_000_000),
    ("fewest_defects", 2, 1_000_000),
)


@dataclass(frozen=True, eq=False)
class GateScores:
    """Both models' scores of the same n labelled images, which neither was trained, stopped or calibrated on.

    Raises ValueError for lengths that differ, scores that are not finite or labels that are not bool.
    """

    is_anomalous: NDArray[np.bool_]
    """(n,)"""
    parts: Sequence[str]
    """(n,) the part that each image shows"""
    kinds: Sequence[str | None]
    """(n,) the kind of defect; None for a normal image, or where nobody named it"""
    champion: NDArray[np.floating[Any]]
    """(n,) scores"""
    candidate: NDArray[np.floating[Any]]
    """(n,) scores"""
    champion_threshold: float
    """an image is flagged when its score is above"""
    candidate_threshold: float
    """likewise"""
    alpha: float
    """the share of false alarms that the candidate's threshold promises"""
    champion_aupro: NDArray[np.float64] | None = None
    """(r,) what each region of the masks adds to the AUPRO (see metrics.aupro.region_auproes); None without masks"""
    candidate_aupro: NDArray[np.float64] | None = None
    """(r,) of the same regions in the same order"""
    region_parts: Sequence[str] | None = None
    """(r,) the part that each region is on"""

    def __post_init__(self) -> None:
        for scores in (self.champion, self.candidate):
            check_images(scores, self.is_anomalous)
        for names in (self.parts, self.kinds):
            if len(names) != len(self.is_anomalous):
                raise ValueError(
                    f"{len(names)} parts or kinds do not match {len(self.is_anomalous)} images. Give one an image."
                )
        check_threshold(self.champion_threshold)
        check_threshold(self.candidate_threshold)
        if not 0 < self.alpha < 1:
            raise ConfigError(f"alpha {self.alpha} promises nothing. Give the one of the candidate's card.")
        if self.has_regions:
            for values in (self.champion_aupro, self.candidate_aupro):
                check_scores([] if values is None else values, list(self.region_parts or ()))

    @property
    def has_regions(self) -> bool:
        """Whether there are masks to compare the maps by."""
        return self.champion_aupro is not None or self.candidate_aupro is not None


@dataclass(frozen=True)
class Cost:
    """What it takes to run a model."""

    seconds_an_image: float
    """both models timed in turns on one machine"""
    weights_bytes: int
    method: str
    """as settings and cards name it: between two of them time and size are told and not limited, for whoever chooses
    another method has chosen its cost"""


@dataclass(frozen=True)
class Check:
    """One comparison of the candidate with the champion."""

    name: str
    champion: float | None
    """the champion's figure; None where it is undefined, as for all numbers here"""
    candidate: float | None
    """the candidate's"""
    difference: float | None
    """candidate - champion"""
    low: float | None
    """one-sided lower bound: of the difference, or for false alarms of the candidate's own rate"""
    high: float | None
    """one-sided upper bound, likewise"""
    margin: float
    """largest loss; for false alarms the promised rate, for time and size the largest ratio"""
    passed: bool | None
    """None: too few images to tell, nothing to compare, or told for information alone"""
    words: str
    """what the numbers mean"""
    gained: bool = False
    """the candidate is better in this, beyond chance"""


@dataclass(frozen=True)
class GateDecision:
    """What the gate says."""

    promote: bool
    """the candidate is not worse in anything that counts, and better in something"""
    gained: bool
    """some check shows a gain beyond chance"""
    checks: tuple[Check, ...]
    words: str
    """the decision and its reason, a sentence or two"""

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `json.dumps` takes."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**plain, "checks": [asdict(check) for check in self.checks]}
