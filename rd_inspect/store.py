"""A store, read-only."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rd_inspect.model import Model
from storage import filesystem
from storage.errors import StorageError
from storage.models import models

if TYPE_CHECKING:
    import pyarrow as pa


class ModelNotUsable(StorageError):
    """The model does not exist, or cannot score here."""


class InspectionStore:
    """A plant's models, scores, labels and maps, read-only."""

    def __init__(self, uri: str | Path) -> None:
        self._store = filesystem.open_store(uri, read_only=True)

    @property
    def uri(self) -> str:
        """Address of the store."""
        return self._store.uri

    def categories(self) -> list[str]:
        """Categories that have a model, sorted."""
        return models.list_model_categories(self._store)

    def versions(self, category: str) -> list[str]:
        """Published model versions of a category, oldest first."""
        return models.list_versions(self._store, category)

    def model(self, category: str, version: str | None = None) -> Model:
        """The champion of a category, or one version, loaded; it runs on the engine of the store's settings, as at
        night.

        Raises ModelNotUsable for an unknown name, with the nearest known one, and for a model that cannot score
        here; StorageError if there is no champion, or its files are damaged.
        """
        from flows.preflight.model_choice import chosen_version, ready_model  # noqa: PLC0415  # imports torch, which opening a store and reading scores do without
        from flows.settings import SettingsError, load_settings  # noqa: PLC0415  # imports much that opening a store and reading scores do without
        from rd_core.errors import CoreError  # noqa: PLC0415  # imports much that opening a store and reading scores do without
        from tasks.worker.preprocessing import OtherPreprocessing  # noqa: PLC0415  # imports much that opening a store and reading scores do without

        try:
            settings = load_settings(self.uri)
            chosen = chosen_version(self._store, category, version)
            ready = ready_model(self._store, settings, category, chosen)
        except (SettingsError, CoreError, OtherPreprocessing) as e:
            raise ModelNotUsable(str(e)) from e
        return Model(ready, models.read_card(self._store, category, chosen))

    def query(self, sql: str) -> "pa.Table":
        """The answer to a SELECT over the views `latest`, `scores`, `labels` and `seals`, as from
        `rd-inspect query`.

        Raises StorageError, also for a damaged seal or label file: the answer would lack its rows.
        """
        from storage.analysis.queries import run_query  # noqa: PLC0415  # brings DuckDB

        return run_query(self._store, sql)

    def scores(
        self, category: str | None = None, first_day: date | None = None, last_day: date | None = None
    ) -> "pa.Table":
        """The latest row of each image on complete days, of a category or of all, in these production days, with
        the columns of `scores` in docs/store.md. Errors as `query`."""
        days = [f"run_date {sign} DATE '{day}'" for sign, day in ((">=", first_day), ("<=", last_day)) if day]
        return self.query(f"SELECT * FROM latest {_where(category, days)} ORDER BY run_date, image_key")

    def labels(self, category: str | None = None) -> "pa.Table":
        """The valid label of each labelled image, of a category or of all. Errors as `query`."""
        return self.query(f"SELECT * FROM labels {_where(category, [])} ORDER BY image_key")

    def anomaly_map(self, map_store: str, map_index: int) -> NDArray[np.float32]:
        """The anomaly map of a row of `scores`: float32 (H, W) of the model's size, stored as float16.
        StorageError."""
        from storage.partitions.anomaly_maps import read_map  # noqa: PLC0415  # brings zarr

        return read_map(self._store, map_store, map_index).astype(np.float32)


def open_store(uri: str | Path) -> InspectionStore:
    """The store at a path or s3://bucket/prefix (endpoint and keys from the usual AWS settings). StorageError if it
    is not there."""
    filesystem.open_store(uri, read_only=True).check()
    return InspectionStore(uri)


def _where(category: str | None, conditions: list[str]) -> str:
    if category is not None:
        quoted = category.replace("'", "''")
        conditions = [f"category = '{quoted}'", *conditions]
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""
