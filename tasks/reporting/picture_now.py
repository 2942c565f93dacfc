"""An image of a report that is scored for it, because no night has."""

from dataclasses import asdict

from rd_core.maps.defect_regions import defect_regions
from reports.overlay import shrunk
from reports.scored_image import ScoredImage, boxes_in_shares
from storage.filesystem import Store
from tasks.reporting.scored_picture import PICTURE_SIDE
from tasks.scoring.picture_scores import share_of_counted
from tasks.worker.picture_reader import read_picture
from tasks.worker.scorer import Scorer


def picture_now(images: Store, scorer: Scorer, image_key: str, score: float | None = None) -> ScoredImage:
    """An image called normal, as the scorer sees it, with its map and boxes, as in a night; without them if it cannot
    be read now.

    score: shown in place of the scorer's.
    """
    loaded = read_picture(images, scorer.image_format, image_key)
    threshold = float(scorer.threshold)
    if loaded.pixels is None:
        return ScoredImage(image_key, score, threshold, True)
    found = scorer.score([loaded])
    anomaly_map = found.maps[0]
    counted = None if loaded.size is None else scorer.image_format.view.counted(loaded.size, scorer.map_size)
    regions = defect_regions(anomaly_map, scorer.pixel_threshold, scorer.defect_peak)
    return ScoredImage(
        image_key=image_key,
        score=float(found.scores[0]) if score is None else score,
        threshold=threshold,
        is_anomalous=True,
        anomalous_area=share_of_counted(anomaly_map > scorer.map_threshold, counted),
        pixel_threshold=scorer.pixel_threshold,
        map_threshold=scorer.map_threshold,
        boxes=boxes_in_shares(map(asdict, regions), *anomaly_map.shape),
        label="normal",
        picture=shrunk(loaded.pixels, PICTURE_SIDE),
        anomaly_map=anomaly_map,
        ignored=None if loaded.counted is None else ~loaded.counted,
    )
