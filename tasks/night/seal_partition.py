"""Sealing: the last write of a partition, which makes it visible."""

from datetime import datetime

from prefect import task
from prefect.cache_policies import NO_CACHE

from storage.filesystem import open_store
from storage.images import content_digest
from storage.partitions import seals
from storage.partitions.seals import SealedPart, SealedPlan
from storage.records import Plan, Receipt
from tasks.worker.faults import ON_STORAGE_FAULT


class IncompletePartition(Exception):
    """The receipts do not cover the plan: nothing is sealed."""


@task(name="seal-partition", cache_policy=NO_CACHE, **ON_STORAGE_FAULT)
def seal_partition(store_uri: str, plan: Plan, receipts: list[Receipt], sealed_at: datetime) -> None:
    """Seal `plan`. Raises IncompletePartition for a missing row, Conflict if another run sealed some of the images
    meanwhile: plan again."""
    rows = sum(receipt.rows for receipt in receipts)
    if rows != plan.images or len({receipt.part for receipt in receipts}) != len(receipts):
        raise IncompletePartition(
            f"{rows} rows of {len(receipts)} batches for {plan.images} planned images of {plan.partition}. "
            "The category's day is not complete and stays unsealed. Run the inspection again."
        )
    store = open_store(store_uri)
    seals.add_plan(
        store,
        plan.partition,
        SealedPlan(
            manifest=plan.manifest,
            digest=plan.digest,
            map_store=plan.map_store,
            images=plan.images,
            ok=sum(receipt.ok for receipt in receipts),
            unreadable=sum(receipt.unreadable for receipt in receipts),
            rejected=sum(receipt.rejected for receipt in receipts),
            anomalous=sum(receipt.anomalous for receipt in receipts),
            parts=tuple(SealedPart(receipt.part, receipt.rows, receipt.digest) for receipt in receipts),
            run_id=plan.run_id,
            sealed_at=sealed_at,
            engine=plan.engine,
            manifest_digest=content_digest(store.read(plan.manifest)),
            supersedes=plan.supersedes,
        ),
    )
