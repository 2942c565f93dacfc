"""The description of a sealed plan's maps, made again from its manifest and its model's card. No image is scored."""

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
    """Write it in its place; the maps stay as they are. May run any number of times. CorruptObject if the model's
    card does not tell what belongs there."""
    if damaged.wanted is None:
        raise CorruptObject(
            f"{damaged.where}: {damaged.why}, and the card of model {damaged.plan.partition.model_version} does not "
            "tell its size and threshold, so nothing was written. Restore the card first."
        )
    open_store(store_uri).write(description_key(damaged.plan.map_store), damaged.wanted)
