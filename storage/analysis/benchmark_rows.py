"""The results of a benchmark: one Parquet file with one row for each measurement."""

from dataclasses import asdict, dataclass
from datetime import datetime

import pyarrow as pa

from storage.errors import AlreadyExists, Conflict, CorruptObject, KeyNotFound
from storage.stores import parquet
from storage.stores.store import Store

SCHEMA = pa.schema(
    [
        ("protocol", pa.string()),
        ("dataset", pa.string()),
        ("category", pa.string()),
        ("method", pa.string()),
        ("variant", pa.string()),
        ("seed", pa.int64()),
        ("settings_digest", pa.string()),
        ("teacher", pa.string()),
        ("bottleneck", pa.string()),
        ("map_stages", pa.string()),
        ("image_height", pa.int64()),
        ("image_width", pa.int64()),
        ("image_auroc", pa.float64()),
        ("pixel_auroc", pa.float64()),
        ("aupro", pa.float64()),
        ("paper_pro", pa.float64()),
        ("train_images", pa.int64()),
        ("normal_images", pa.int64()),
        ("anomalous_images", pa.int64()),
        ("masked_images", pa.int64()),
        ("steps", pa.int64()),
        ("training_seconds", pa.float64()),
        ("images_per_second", pa.float64()),
        ("model_bytes", pa.int64()),
        ("settings", pa.string()),
        ("software", pa.string()),
        ("finished_at", pa.timestamp("us", tz="UTC")),
    ]
)

RowKey = tuple[str, str, str, int, str]


@dataclass(frozen=True)
class BenchmarkRow:
    """One trained network, evaluated on one category with one map setting. Metrics are shares in [0, 1]."""

    protocol: str
    """paper or novelty"""
    dataset: str
    """name of the folder of all categories"""
    category: str
    """or the normal class of novelty"""
    method: str
    variant: str
    """one name for what may vary of a method, such as the teacher"""
    seed: int
    settings_digest: str
    """SHA-256 over `settings`"""
    teacher: str
    bottleneck: str | None
    """of Reverse Distillation; None: another method, as in map_stages"""
    map_stages: str | None
    """such as 1,2,3"""
    image_height: int
    """pixels of the network's input"""
    image_width: int
    image_auroc: float | None
    """None, meaning all four, if the layers are not told apart"""
    pixel_auroc: float | None
    aupro: float | None
    """over the whole data set, up to a false-positive rate of 0.3"""
    paper_pro: float | None
    """per image, as the authors compute it"""
    train_images: int
    normal_images: int
    """in the test set"""
    anomalous_images: int
    """in the test set"""
    masked_images: int
    """anomalous test images with a mask, which the pixel metrics use"""
    steps: int | None
    """None: of a method without"""
    training_seconds: float
    """of one training; rows that differ only in map stages share it"""
    images_per_second: float
    """images a second, without decoding"""
    model_bytes: int
    """of the weights needed for scoring"""
    settings: str
    """JSON: model, training, digests of the images and of a weights file, preprocessing"""
    software: str
    """JSON: name -> version"""
    finished_at: datetime
    """UTC"""

    @property
    def key(self) -> RowKey:
        """The fields that identify a measurement."""
        return self.protocol, self.category, self.variant, self.seed, self.settings_digest


def read_rows(store: Store, key: str) -> list[BenchmarkRow]:
    """Every row, in the order of adding; none without a file. Raises CorruptObject for another kind of file."""
    return _read(store, key)[0]


def add_row(store: Store, key: str, row: BenchmarkRow) -> None:
    """Add `row`, or replace the row of the same measurement, in one atomic step.

    Safe against concurrent writers. Raises CorruptObject, without writing, for another kind of file.
    """
    while True:
        rows, etag = _read(store, key)
        kept = [other for other in rows if other.key != row.key]
        data = parquet.to_bytes(pa.Table.from_pylist([asdict(row) for row in (*kept, row)], schema=SCHEMA))
        try:
            if etag is None:
                store.create(key, data)
            else:
                store.replace(key, data, etag)
        except (AlreadyExists, Conflict):
            continue
        return


def _read(store: Store, key: str) -> tuple[list[BenchmarkRow], str | None]:
    try:
        data, etag = store.read_with_etag(key)
    except KeyNotFound:
        return [], None
    table = parquet.from_bytes(data, store.address(key))
    if not table.schema.equals(SCHEMA):
        odd = sorted(set(table.schema.names) ^ set(SCHEMA.names)) or ["types"]
        raise CorruptObject(
            f"{store.address(key)} is a Parquet file, but not of a benchmark of this version (it differs in "
            f"{', '.join(odd[:3])}). It stays as it is and nothing was computed. Name another file."
        )
    return [BenchmarkRow(**row) for row in table.to_pylist()], etag
