"""Recreating the description of a sealed plan's maps from its manifest and model card, without scoring."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from storage.errors import CorruptObject
from storage.filesystem import open_store
from storage.partitions.anomaly_maps import description_key
from storage.verification.damage import DamagedDescription
from tasks.worker.faults import ON_STORAGE_FAULT


@task(
    name="mend-description",
    task_run_name="mend maps {damaged.plan.partition.category} {damaged.plan.digest}",
    cache_policy=NO_CACHE,
    **ON_STORAGE_FAULT,
)
def mend_description(store_uri: str, images_uri: str, damaged: DamagedDescription) -> None:  # noqa: ARG001  # called as mend_batch
    """Write the description; the maps stay. Can be repeated. Raises CorruptObject if the card lacks the facts."""
    if damaged.wanted is None:
        raise CorruptObject(
            f"{damaged.where}: {damaged.why}, and the card of model {damaged.plan.partition.model_version} does not "
            "tell its size and threshold, so nothing was written. Restore the card first."
        )
    open_store(store_uri).write(description_key(damaged.plan.map_store), damaged.wanted)
