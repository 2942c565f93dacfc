"""What a partition is just now, as far as counts and pictures are made from it: for `kept_result.inputs_digest`."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from storage.filesystem import Store
from storage.layout import card_key, images_prefix, scores_prefix, seal_key, version_maps_prefix
from storage.records import Partition
from tasks.kept_result import bytes_there, listed, stated


def scored_state(store: Store, partition: Partition) -> list[Any]:
    """Of what is sealed, of the parts and maps as they lie there, and of the model card."""
    category, day, version = partition.category, partition.run_date, partition.model_version
    return [
        partition,
        bytes_there(store, seal_key(category, day, version)),
        bytes_there(store, card_key(category, version)),
        listed(store, scores_prefix(category, day, version)),
        listed(store, version_maps_prefix(category, day, version)),
    ]


def labels_state(store: Store, partition: Partition, held: pa.Table) -> list[Any]:
    """Of what is said of the day's images, of the category's labels `held`, and of the masks."""
    prefix = images_prefix(partition.category, partition.run_date)
    said = [row for row in held.to_pylist() if row["image_key"].startswith(prefix)]
    return [said, masks_state(store, said)]


def masks_state(store: Store, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Of the masks that rows name."""
    return stated(store, (row["mask_key"] for row in rows if row["mask_key"]))
