"""A store, to read."""

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
    """There is no model of that name, or it does not score here."""


class InspectionStore:
    """What rd-inspect keeps of a plant: models, scores, labels, maps. Only read."""

    def __init__(self, uri: str | Path) -> None:
        self._store = filesystem.open_store(uri, read_only=True)

    @property
    def uri(self) -> str:
        """Where it lies."""
        return self._store.uri

    def categories(self) -> list[str]:
        """Those that have a model, sorted."""
        return models.list_model_categories(self._store)

    def versions(self, category: str) -> list[str]:
        """Published model versions of a category, oldest first."""
        return models.list_versions(self._store, category)

    def model(self, category: str, version: str | None = None) -> Model:
        """The champion of a category, or one version, loaded; computed by the engine that the settings of the store
        name, as a night's scores are.

        Raises ModelNotUsable for a name that is not there, with the nearest, and for a model that does not score
        here; StorageError if no version is in force, or its files are damaged.
        """
        from flows.preflight.model_choice import chosen_version, ready_model  # noqa: PLC0415  # settings, and torch with a model
        from flows.settings import SettingsError, load_settings  # noqa: PLC0415  # likewise
        from rd_core.errors import CoreError  # noqa: PLC0415  # likewise
        from tasks.worker.preprocessing import OtherPreprocessing  # noqa: PLC0415  # likewise

        try:
            settings = load_settings(self.uri)
            chosen = chosen_version(self._store, category, version)
            ready = ready_model(self._store, settings, category, chosen)
        except (SettingsError, CoreError, OtherPreprocessing) as e:
            raise ModelNotUsable(str(e)) from e
        return Model(ready, models.read_card(self._store, category, chosen))

    def query(self, sql: str) -> "pa.Table":
        """What a SELECT finds in the views `latest`, `scores`, `labels` and `seals`, as `rd-inspect query`.

        Raises StorageError, also for a seal or a label file that does not read: the answer would be without it.
        """
        from storage.analysis.queries import run_query  # noqa: PLC0415  # brings DuckDB

        return run_query(self._store, sql)

    def scores(
        self, category: str | None = None, first_day: date | None = None, last_day: date | None = None
    ) -> "pa.Table":
        """The last sealed row of each image of a category, or of all, in these production days: the columns of
        `scores` in docs/store.md. Errors as `query`."""
        days = [f"run_date {sign} DATE '{day}'" for sign, day in ((">=", first_day), ("<=", last_day)) if day]
        return self.query(f"SELECT * FROM latest {_where(category, days)} ORDER BY run_date, image_key")

    def labels(self, category: str | None = None) -> "pa.Table":
        """The word that holds of each labelled image of a category, or of all. Errors as `query`."""
        return self.query(f"SELECT * FROM labels {_where(category, [])} ORDER BY image_key")

    def anomaly_map(self, map_store: str, map_index: int) -> NDArray[np.float32]:
        """The map of a row of `scores`: float32 (H, W) of the model's size, kept as float16. StorageError."""
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
