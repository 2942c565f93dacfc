"""Inputs and results of the gate."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rd_core.errors import ConfigError
from rd_core.metrics.decisions import check_threshold
from rd_core.metrics.image_metrics import check_images, check_scores
from rd_core.settings import check_ranges

Golden = tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]
"""(champion's, candidate's) scores (g,) of the golden normals"""


@dataclass(frozen=True)
class GateSettings:
    """What a candidate may lose, and with what confidence."""

    auroc_margin: float = 0.01
    """largest loss of image AUROC"""
    aupro_margin: float = 0.02
    """largest loss of AUPRO"""
    recall_margin: float = 0.05
    """largest loss of recall, each model at its own threshold"""
    kind_margin: float = 0.10
    """largest loss of recall within one kind of defect, as measured: kinds have too few images for a bound"""
    false_alarm_margin: float = 5.0
    """largest false-alarm rate that the candidate may have, in multiples of the promised one: 60 normals without an
    alarm prove no more than 4.9 %"""
    confidence: float = 0.95
    """of every bound and test, one-sided"""
    resamples: int = 2000
    """of the bootstrap"""
    slowdown: float = 1.25
    """largest ratio of the times an image, for models of one method"""
    growth: float = 1.10
    """largest ratio of the weights' sizes, likewise"""
    fewest_normals: int = 20
    """fewest parts with a normal image for a comparison"""
    fewest_defects: int = 30
    """fewest parts with an anomalous image for a comparison. A recall 0.10 worse (twice its margin) loses none of 30
    parts by chance in 0.9^30 = 4 % of cases"""
    seed: int = 0
    """of the bootstrap"""

    def __post_init__(self) -> None:
        check_ranges(self, _RANGES, "where the gate would let everything pass or nothing")


_RANGES = (
    ("auroc_margin", 0.0, 1.0),
    ("aupro_margin", 0.0, 1.0),
    ("recall_margin", 0.0, 1.0),
    ("kind_margin", 0.0, 1.0),
    ("false_alarm_margin", 1.0, 1000.0),
    ("confidence", 0.5, 0.9999),
    ("resamples", 100, 1_000_000),
    ("slowdown", 1.0, 1000.0),
    ("growth", 1.0, 1000.0),
    ("fewest_normals", 2, 1_000_000),
    ("fewest_defects", 2, 1_000_000),
)


@dataclass(frozen=True, eq=False)
class GateScores:
    """Both models' scores of the same n labelled images, none of which trained, stopped or calibrated either model.

    Raises ValueError for lengths that differ, scores that are not finite or labels that are not bool.
    """

    is_anomalous: NDArray[np.bool_]
    """(n,)"""
    parts: Sequence[str]
    """(n,) the part that each image shows"""
    kinds: Sequence[str | None]
    """(n,) kind of defect; None for a normal image, or where it is unknown"""
    champion: NDArray[np.floating[Any]]
    """(n,) scores"""
    candidate: NDArray[np.floating[Any]]
    """(n,) scores"""
    champion_threshold: float
    """an image is flagged when its score is above"""
    candidate_threshold: float
    """likewise"""
    alpha: float
    """false-alarm rate promised by the candidate's threshold"""
    champion_aupro: NDArray[np.float64] | None = None
    """(r,) each mask region's contribution to the AUPRO (see metrics.region_aupro); None without masks"""
    candidate_aupro: NDArray[np.float64] | None = None
    """(r,) of the same regions"""
    region_parts: Sequence[str] | None = None
    """(r,) part of each region"""

    def __post_init__(self) -> None:
        for scores in (self.champion, self.candidate):
            check_images(scores, self.is_anomalous)
        for names in (self.parts, self.kinds):
            if len(names) != len(self.is_anomalous):
                raise ValueError(
                    f"{len(names)} parts or kinds do not match {len(self.is_anomalous)} images. Give one for each."
                )
        check_threshold(self.champion_threshold)
        check_threshold(self.candidate_threshold)
        if not 0 < self.alpha < 1:
            raise ConfigError(f"alpha {self.alpha} is not a false-alarm rate. Give the one of the candidate's card.")
        if self.has_regions:
            for values in (self.champion_aupro, self.candidate_aupro):
                check_scores([] if values is None else values, list(self.region_parts or ()))

    @property
    def flagged(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(champion's, candidate's) alarms, bool (n,) each."""
        return self.champion > self.champion_threshold, self.candidate > self.candidate_threshold

    @property
    def has_regions(self) -> bool:
        """Whether there are masks to compare the maps by."""
        return self.champion_aupro is not None or self.candidate_aupro is not None


@dataclass(frozen=True)
class Cost:
    """What a model costs to run."""

    seconds_an_image: float
    """both models timed alternately on one machine"""
    weights_bytes: int
    method: str
    """as in settings and model cards; between methods time and size are reported but not limited"""


@dataclass(frozen=True)
class Check:
    """One comparison of the candidate with the champion."""

    name: str
    champion: float | None
    """the champion's figure; None where undefined, as all numbers here"""
    candidate: float | None
    """the candidate's"""
    difference: float | None
    """candidate - champion"""
    low: float | None
    """one-sided lower bound: of the difference, or of the candidate's own rate of false alarms"""
    high: float | None
    """one-sided upper bound, likewise"""
    margin: float
    """largest loss, or for false alarms the promised rate, for the promised rate the largest that is accepted, for
    time and size the largest ratio"""
    passed: bool | None
    """None: too few images, nothing to compare, or for information only"""
    words: str
    """the result as a sentence"""
    gained: bool = False
    """the candidate is better here, beyond chance"""


@dataclass(frozen=True)
class GateDecision:
    """The gate's result."""

    promote: bool
    """no check that counts refuses the candidate, and it is better in one, or changes the threshold alone"""
    gained: bool
    """some check shows a gain beyond chance"""
    checks: tuple[Check, ...]
    words: str
    """the decision and its reason, a sentence or two"""

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `json.dumps` takes."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**plain, "checks": [asdict(check) for check in self.checks]}
