"""Rescoring a sealed batch with a damaged part or damaged maps, and replacing it by one swap of the seal."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from storage.errors import StorageError
from storage.filesystem import Store, open_store
from storage.partitions import manifests
from storage.partitions.mended_seals import replace_part
from storage.partitions.same_images import changed_keys
from storage.partitions.seals import SealedPart
from storage.records import Batch
from storage.verification.damage import DamagedBatch
from tasks.night.redecide_partition import redecide_batch, source_of
from tasks.night.score_batch import score_batch
from tasks.worker.faults import ON_STORAGE_FAULT


class ImagesChanged(StorageError):
    """The images of a damaged batch have changed since they were sealed, so it cannot be scored again."""


@task(
    name="mend-batch",
    task_run_name="mend {damaged.plan.partition.category} batch {damaged.index}",
    cache_policy=NO_CACHE,
    **ON_STORAGE_FAULT,
)
def mend_batch(store_uri: str, images_uri: str, damaged: DamagedBatch) -> int:
    """Score the batch again with its model version and manifest, and seal the new part in place of the damaged one;
    returns its rows.

    Maps are overwritten; the part gets a new name, and the damaged one stays unsealed. Scores that were decided anew
    are so once more, from the version that scored the images, whose damage must be mended first. Can be repeated.
    Raises ImagesChanged if an image is gone or has changed.
    """
    store, plan = open_store(store_uri), damaged.plan
    batch = Batch(plan, damaged.index, manifests.batch_digest(damaged.part.key, damaged.index))
    if plan.redecides is None:
        _refuse_changed(open_store(images_uri, read_only=True), store, batch, damaged.part)
        receipt = score_batch.fn(store_uri, images_uri, batch)
    else:
        receipt = redecide_batch(store, batch, source_of(store, plan, damaged.index))
    replace_part(store, plan.partition, damaged.part, receipt)
    return receipt.rows


def _refuse_changed(images: Store, store: Store, batch: Batch, part: SealedPart) -> None:
    planned = manifests.read_manifest_slice(store, batch.plan.manifest, batch.start, batch.stop)
    changed = changed_keys(store, images, batch.plan.partition, part, planned)
    if changed:
        raise ImagesChanged(
            f"{len(changed)} of the batch's {len(planned)} images are missing or have changed since they were "
            f"scored, such as {changed[0]!r}, so the batch was not scored again. Restore them, or "
            f"{batch.plan.map_store} and the score file, from a copy."
        )
