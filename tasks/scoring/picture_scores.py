"""A model's scores of pictures, the same for a night and by hand."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rd_core.calibration.threshold import ACCEPT, triage
from rd_core.maps.defect_regions import DefectRegion, defect_regions
from rd_core.pictures.alignment import OFFSET_COLUMNS
from tasks.worker.picture_reader import LoadedPicture

if TYPE_CHECKING:
    from tasks.worker.scorer import Decider, Scorer


@dataclass(frozen=True)
class ScoredPicture:
    """The forward pass's result for one picture; all None if there was nothing to score."""

    loaded: LoadedPicture
    """without its pixels, and without which of them count: both would fill the memory"""
    score: np.float32 | None = None
    p_value: float | None = None
    anomalous_area: float | None = None
    feature_distance: float | None = None
    decision: str | None = None
    defect_area: float | None = None
    regions: tuple[DefectRegion, ...] | None = None


@dataclass(frozen=True)
class Decided:
    """What follows from a score, its map and the thresholds."""

    p_value: float
    decision: str
    anomalous_area: float
    defect_area: float
    regions: tuple[DefectRegion, ...]


def score_pictures(
    scorer: "Scorer", pictures: Sequence[LoadedPicture], maps: NDArray[np.floating] | None = None
) -> list[ScoredPicture]:
    """Score the loaded pictures, as few as `micro_batches` gives. `maps`, float16 or float32 (len(pictures), H, W),
    gets their maps; rows without a score stay as they are."""
    results = [ScoredPicture(replace(picture, pixels=None, counted=None)) for picture in pictures]
    readable = [i for i, picture in enumerate(pictures) if picture.pixels is not None]
    if not readable:
        return results
    scored = scorer.score([pictures[i] for i in readable])
    counted = [_counted(scorer, pictures[i]) for i in readable]
    decided = decide(scorer, scored.scores, scored.maps, counted)
    if maps is not None:
        maps[readable] = scored.as_float16() if maps.dtype == np.float16 else scored.maps
    for row, i in enumerate(readable):
        own = decided[row]
        results[i] = ScoredPicture(
            results[i].loaded,
            scored.scores[row],
            own.p_value,
            own.anomalous_area,
            float(scored.feature_distances[row]),
            own.decision,
            own.defect_area,
            own.regions,
        )
    return results


def decide(
    decider: "Decider",
    scores: NDArray[np.float32],
    maps: NDArray[np.floating],
    counted: Sequence[NDArray[np.bool_] | None],
) -> list[Decided]:
    """What a model card's thresholds make of scores (B,) and their maps (B, H, W).

    counted: of each map bool (H, W), False in ignored regions; None: all its pixels count.
    """
    p_values = decider.p_values(scores)
    decisions = triage(scores, *decider.review_band)
    return [
        Decided(
            float(p_values[row]),
            str(decisions[row]),
            share_of_counted(maps[row] > decider.map_threshold, counted[row]),
            *_extent(decider, maps[row], counted[row], str(decisions[row])),
        )
        for row in range(len(scores))
    ]


def columns_of(picture: ScoredPicture, scorer: "Scorer") -> dict[str, Any]:
    """The columns of a score row that depend only on picture and model."""
    loaded = picture.loaded
    return {
        "content_digest": loaded.digest,
        "preprocessing": scorer.preprocessing,
        "score": None if picture.score is None else float(picture.score),
        "threshold": float(scorer.threshold),
        "p_value": picture.p_value,
        "is_anomalous": None if picture.score is None else bool(picture.score > scorer.threshold),
        "status": loaded.status,
        "error": loaded.error,
        "anomalous_area": picture.anomalous_area,
        "image_height": loaded.size[0] if loaded.size else None,
        "image_width": loaded.size[1] if loaded.size else None,
        "feature_distance": picture.feature_distance,
        "decision": picture.decision,
        "defect_area": picture.defect_area,
        "defect_boxes": _boxes(picture, scorer),
        **(asdict(loaded.statistics) if loaded.statistics else {}),
        **dict(zip(OFFSET_COLUMNS, loaded.offset or (None, None, None), strict=True)),
    }


def _counted(scorer: "Scorer", picture: LoadedPicture) -> NDArray[np.bool_] | None:
    """On the grid of its map."""
    view, size = scorer.image_format.view, picture.size
    return None if size is None else view.counted(size, scorer.map_size, picture.offset)


def _extent(
    decider: "Decider", anomaly_map: NDArray[np.floating], counted: NDArray[np.bool_] | None, decision: str
) -> tuple[float, tuple[DefectRegion, ...]]:
    """(share of the counted pixels above the pixel threshold, defect regions): none for an accepted image."""
    level = decider.pixel_threshold
    regions = () if decision == ACCEPT else defect_regions(anomaly_map, level, decider.defect_peak)
    return share_of_counted(anomaly_map > level, counted), regions


def share_of_counted(above: NDArray[np.bool_], counted: NDArray[np.bool_] | None) -> float:
    """Of the counted pixels of a map; 0 if none counts."""
    if counted is None:
        return np.count_nonzero(above) / above.size
    number = int(np.count_nonzero(counted))
    return int(np.count_nonzero(above & counted)) / number if number else 0.0


def _boxes(picture: ScoredPicture, scorer: "Scorer") -> list[dict[str, Any]] | None:
    size = picture.loaded.size
    if picture.regions is None or size is None:
        return None
    return scorer.image_format.view.boxes(picture.regions, size, scorer.map_size, picture.loaded.offset)
