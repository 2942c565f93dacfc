"""The result of a training."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True)
class FittedModel:
    """The result of a training."""

    category: str
    version: str
    method: str
    train: int
    """images"""
    early_stop: int
    calibration: int
    duplicates: int
    unreadable: int
    fit: str
    """in a few words, see `rd_core.detectors.detector.FitReport`"""
    seconds: float
    threshold: float
    threshold_is_extrapolated: bool
    champion: bool
    """whether it was promoted: on request, or without a champion"""
    cross: bool = False
    """whether all normals set the threshold, by models that have not seen their parts"""
    set_aside: Mapping[str, str] = field(default_factory=dict)
    """normals that look like wrong labels, most suspicious first: key -> why"""
    more_suspects: int = 0
    """number of further ones, which were used"""
    highest: Mapping[str, str] = field(default_factory=dict)
    """normals of the highest scores, if the threshold rests on them: key -> how high"""
    promise: str = ""
    """what the threshold promises, and what its held-out scores prove and show, in words"""
    page: str | None = None
    """key of the page that shows those set aside and the highest"""
    unlabelled: tuple[date, ...] = ()
    """production days whose images nobody had labelled; empty: all were labelled"""
    size_choice: str | None = None
    """which image size was chosen and why, a line for people; None: the settings said it"""
    method_choice: str | None = None
    """why it has its method, a line for people; None: the settings or a command said it"""
    tiles: str | None = None
    """how it learns from and scores images in tiles, a line for people; None: it sees whole images"""
    test: int = 0
    """held out to compare it with the champion"""
    started_from: str | None = None
    """the version whose weights the training started from; None: from scratch"""
    left_out: str | None = None
    """which labelled normals were not used and why, in a sentence; None if all were"""
    ignored: float = 0.0
    """share of the image that counts in nothing"""
