"""A model version that scores images."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from storage.errors import UnreadableImage

if TYPE_CHECKING:
    import pyarrow as pa

    from storage.models.card import ModelCard
    from tasks.scoring.file_scores import ReadyModel
    from tasks.worker.picture_reader import LoadedPicture

Picture = str | Path | NDArray[np.uint8]
"""a file of this machine, or uint8 (H, W) grey or (H, W, 3) RGB in [0, 255]"""


@dataclass(frozen=True)
class Detection:
    """Score, decision and anomaly map of one image."""

    score: float
    """raw float32, never clamped; higher is more anomalous"""
    threshold: float
    """in the unit of the score"""
    p_value: float
    """conformal, (0, 1]: share of held-out normal images with at least this score"""
    is_anomalous: bool
    """score > threshold"""
    decision: str
    """'accept', 'review' (within the threshold's 95 % interval) or 'reject'"""
    anomaly_map: NDArray[np.float32]
    """float32 (H, W), not negative; `Model.card` describes its values. Of the model's size, or where the model aligns
    images, moved back over the whole image"""
    boxes: Sequence[Mapping[str, float]]
    """around defects, highest peak first: top, left, height, width in pixels of the image, and the peak; empty if the
    decision is 'accept'"""
    height: int
    """of the image itself, pixels"""
    width: int
    covered: tuple[int, int, int, int]
    """top, left, height and width of what the map shows, in pixels of the image: all of it, or the crop"""

    def map_of_picture(self) -> NDArray[np.float32]:
        """The anomaly map in the image's own size: float32 (height, width), bilinear; 0 outside the crop."""
        top, left, height, width = self.covered
        whole = np.zeros((self.height, self.width), np.float32)
        resized = Image.fromarray(self.anomaly_map).resize((width, height), Image.Resampling.BILINEAR)
        whole[top : top + height, left : left + width] = np.asarray(resized)
        return whole


class Model:
    """One version of a category's model, from `InspectionStore.model`. Use it from one thread at a time."""

    def __init__(self, ready: "ReadyModel", card: "ModelCard") -> None:
        self._ready = ready
        self.category: str = ready.category
        self.version: str = ready.version
        self.card: ModelCard = card
        """model card: method and settings, images, threshold, versions of software"""
        self.threshold: float = float(ready.scorer.threshold)
        """an image is anomalous when its score is above"""
        self.review_band: tuple[float, float] = ready.scorer.review_band
        """scores in between are for review: the 95 % interval of the threshold"""
        self.alpha: float = card.threshold.alpha
        """the promised false-alarm rate"""

    def score(self, pictures: Iterable[Picture] | Picture) -> "pa.Table":
        """One row an image, in order: the columns of `rd-inspect score --out`, `path` NULL for arrays. Paths and
        arrays may be mixed; an image that cannot be read is a row with its error.

        The scores are those of a night with the same engine. ValueError for an array that is no image.
        """
        import pyarrow as pa  # noqa: PLC0415  # a quarter of a second that `detect` does not need

        from tasks.scoring.file_scores import FILE_SCHEMA, file_rows  # noqa: PLC0415  # with the model
        from tasks.scoring.picture_scores import score_pictures  # noqa: PLC0415  # with the model
        from tasks.worker.picture_reader import micro_batches  # noqa: PLC0415  # with the model

        batches = []
        picture_bytes = self._ready.scorer.image_format.picture_bytes
        for chunk in micro_batches(
            lambda picture: (_path_of(picture), self._loaded(picture)), _each(pictures), picture_bytes
        ):
            scored = score_pictures(self._ready.scorer, [picture for _, picture in chunk])
            batches.append(file_rows(self._ready, [path for path, _ in chunk], scored, [None] * len(chunk)))
        return pa.Table.from_batches(batches, schema=FILE_SCHEMA)

    def detect(self, picture: Picture) -> Detection:
        """Score one image, with its map. UnreadableImage for a file that is no image; ValueError for such an
        array."""
        from tasks.scoring.picture_scores import columns_of, score_pictures  # noqa: PLC0415  # with the model

        scorer, loaded = self._ready.scorer, self._loaded(picture)
        if loaded.size is None:
            raise UnreadableImage(f"{_path_of(picture)}: {loaded.error}")
        maps = np.empty((1, *scorer.map_size), np.float32)
        (result,) = score_pictures(scorer, [loaded], maps)
        row = columns_of(result, scorer)
        anomaly_map, covered = scorer.image_format.view.over_image(maps[0], loaded.size, loaded.offset)
        return Detection(
            score=row["score"],
            threshold=row["threshold"],
            p_value=row["p_value"],
            is_anomalous=row["is_anomalous"],
            decision=row["decision"],
            anomaly_map=np.asarray(anomaly_map, np.float32),
            boxes=row["defect_boxes"],
            height=loaded.size[0],
            width=loaded.size[1],
            covered=covered,
        )

    def _loaded(self, picture: Picture) -> "LoadedPicture":
        from tasks.scoring.file_scores import load_file  # noqa: PLC0415  # with the model
        from tasks.scoring.local_pictures import picture_at, this_machine  # noqa: PLC0415  # with the model
        from tasks.worker.picture_reader import load_array  # noqa: PLC0415  # with the model

        image_format = self._ready.scorer.image_format
        if isinstance(picture, np.ndarray):
            return load_array(image_format, _rgb(picture))
        return load_file(this_machine(), image_format, picture_at(os.fspath(picture)))[1]


def _each(pictures: Iterable[Picture] | Picture) -> Iterable[Picture]:
    """The images, or a single one as a list."""
    if isinstance(pictures, str | Path):
        return [pictures]
    if isinstance(pictures, np.ndarray):
        return [pictures] if _is_picture(pictures) else list(pictures)
    return pictures


def _is_picture(array: NDArray[Any]) -> bool:
    return array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)


def _rgb(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if array.dtype != np.uint8 or not _is_picture(array) or 0 in array.shape:
        raise ValueError(
            f"an array of shape {array.shape} and type {array.dtype} is no image, so it is not scored. Give uint8 "
            "(height, width) or (height, width, 3), RGB in [0, 255]."
        )
    return np.ascontiguousarray(array if array.ndim == 3 else np.repeat(array[:, :, None], 3, axis=2))


def _path_of(picture: Picture) -> str | None:
    return None if isinstance(picture, np.ndarray) else os.fspath(picture)
