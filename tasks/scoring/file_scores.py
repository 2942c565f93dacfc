"""Scores of local files, as a night would give them, without a plan or a write to the store."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rd_core.detectors.settings import MICRO_BATCH
from rd_core.pictures.read_ahead import at_once, read_ahead
from storage.errors import StorageError
from storage.partitions.scores import SCHEMA
from storage.stores.local_store import LocalStore
from tasks.scoring.local_pictures import LocalPicture, this_machine
from tasks.scoring.picture_scores import ScoredPicture, columns_of, score_pictures
from tasks.worker.picture_reader import LoadedPicture, not_loaded, read_picture
from tasks.worker.preprocessing import ImageFormat

if TYPE_CHECKING:
    from tasks.worker.scorer import Scorer

_OF_A_NIGHT = {
    *("image_key", "etag", "run_date", "captured_at", "map_store", "map_index", "scored_at", "run_id"),
    *("category", "model_version"),
}
FILE_SCHEMA = pa.schema(
    [
        pa.field("path", pa.string()),
        pa.field("category", pa.string(), nullable=False),
        pa.field("model_version", pa.string(), nullable=False),
        *(field for field in SCHEMA if field.name not in _OF_A_NIGHT),
        pa.field("overlay", pa.string()),
    ]
)
"""a row of a file: `path`, the columns of a score row that need no store, and `overlay`, the file of picture and map,
if drawn"""


@dataclass(frozen=True)
class ReadyModel:
    """A loaded version of a category's model."""

    category: str
    version: str
    scorer: "Scorer"


@dataclass(frozen=True)
class FileScore:
    """One file's score, or why it has none."""

    picture: LocalPicture
    scored: ScoredPicture
    anomaly_map: NDArray[np.float16] | None
    """(H, W) in the model's size; None without a score"""


def score_files(scorer: "Scorer", rounds: Iterable[Iterable[LocalPicture]]) -> Iterator[list[FileScore]]:
    """Scores in order, in rounds, the first picture alone for a quick answer; each round is scored before the next is
    fetched."""
    load = partial(load_file, this_machine(), scorer.image_format)
    picture_bytes = scorer.image_format.picture_bytes
    size = 1
    for pictures in rounds:
        loaded = read_ahead(load, pictures, picture_bytes)
        while chunk := list(islice(loaded, size)):
            size = at_once(picture_bytes, MICRO_BATCH)
            maps = np.full((len(chunk), *scorer.map_size), np.nan, dtype=np.float16)
            scored = score_pictures(scorer, [picture for _, picture in chunk], maps)
            yield [
                FileScore(picture, scored_picture, None if scored_picture.score is None else anomaly_map)
                for (picture, _), scored_picture, anomaly_map in zip(chunk, scored, maps, strict=True)
            ]


def file_rows(
    model: ReadyModel, paths: Sequence[str | None], scored: Sequence[ScoredPicture], overlays: Sequence[str | None]
) -> pa.RecordBatch:
    """Rows of FILE_SCHEMA."""
    columns = [
        {
            "path": path,
            "category": model.category,
            "model_version": model.version,
            "overlay": overlay,
            **columns_of(scored_picture, model.scorer),
        }
        for path, scored_picture, overlay in zip(paths, scored, overlays, strict=True)
    ]
    arrays = [pa.array([row.get(field.name) for row in columns], field.type) for field in FILE_SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=FILE_SCHEMA)


def load_file(
    machine: LocalStore, image_format: ImageFormat, picture: LocalPicture
) -> tuple[LocalPicture, LoadedPicture]:
    """A local file as a score; every fault is a status."""
    if picture.why is not None:
        return picture, not_loaded("unreadable", picture.why)
    try:
        return picture, read_picture(machine, image_format, picture.key)
    except StorageError as e:  # of a disk or a share; the next file may lie on another
        return picture, not_loaded("unreadable", str(e))
