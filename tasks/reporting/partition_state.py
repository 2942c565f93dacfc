"""The present state of a partition, for `kept_result.inputs_digest`."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from storage.errors import OF_ONE_OBJECT
from storage.filesystem import Store
from storage.layout import card_key, images_prefix, scores_prefix, seal_key, version_maps_prefix
from storage.partitions.seals import read_seal
from storage.records import Partition
from tasks.reporting.kept_result import bytes_there, listed, stated


def scored_state(store: Store, partition: Partition) -> list[Any]:
    """State of the seal, its parts and maps, and the model card."""
    category, day, version = partition.category, partition.run_date, partition.model_version
    return [
        partition,
        bytes_there(store, seal_key(category, day, version)),
        bytes_there(store, card_key(category, version)),
        listed(store, scores_prefix(category, day, version)),
        listed(store, version_maps_prefix(category, day, version)),
        *(listed(store, f"{maps}/") for maps in _shared_maps(store, partition)),
    ]


def _shared_maps(store: Store, partition: Partition) -> list[str]:
    """Map stores of other versions with the same weights that the seal names, sorted."""
    own = version_maps_prefix(partition.category, partition.run_date, partition.model_version)
    try:
        seal = read_seal(store, partition)
    except OF_ONE_OBJECT:  # its bytes are part of the state
        return []
    return sorted({plan.map_store for plan in seal.plans if not plan.map_store.startswith(own)} if seal else ())


def labels_state(store: Store, partition: Partition, held: pa.Table) -> list[Any]:
    """State of the day's labels, among the category's labels `held`, and of the masks."""
    labels = labels_of_day(partition, held)
    return [labels, masks_state(store, labels)]


def labels_of_day(partition: Partition, held: pa.Table) -> list[dict[str, Any]]:
    """Rows of the category's labels `held` about the day's images."""
    prefix = images_prefix(partition.category, partition.run_date)
    rows: list[dict[str, Any]] = held.filter(pc.starts_with(held["image_key"], prefix)).to_pylist()
    return rows


def masks_state(store: Store, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """State of the masks named by rows."""
    return stated(store, (row["mask_key"] for row in rows if row["mask_key"]))
