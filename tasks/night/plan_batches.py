"""Planning: the images of a partition left to score, fixed before scoring."""

from dataclasses import dataclass, field
from datetime import date, datetime

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from rd_core.detectors.settings import MICRO_BATCH
from rd_core.engines.choice import AUTO, TORCH, engine_here
from storage import images
from storage.filesystem import Store, open_store
from storage.partitions import anomaly_maps, manifests, seals
from storage.partitions.same_images import compare
from storage.partitions.seals import Seal
from storage.records import Batch, ObjectInfo, Partition, Plan
from storage.stores.left_out import LeftOut
from tasks.night.pin_champion import PinnedModel
from tasks.worker.faults import ON_STORAGE_FAULT

SMALLEST_BATCH, LARGEST_BATCH = 32, 256
"""images; below it tasks are mostly orchestration, above it a lost worker loses much"""
SHARD_BYTES, LARGEST_SHARD_BYTES = 2**25, 2**27
"""of a shard's maps, which lie in memory together: what is aimed at, and what no number of images exceeds"""
FEWEST_TASKS, MOST_TASKS = 8, 400
"""batches of a category's day: enough to share among workers, few enough for the Prefect server"""


@dataclass(frozen=True)
class PartitionJob:
    """One category's part of a run."""

    store_uri: str
    images_uri: str
    run_date: date
    model: PinnedModel
    run_id: str
    planned_at: datetime
    """UTC; the run's start"""
    batch_images: int | None = None
    """images of a task; None: chosen by their number"""
    library: str = AUTO
    """engine of a partition that has none yet; "auto": the one of the model's card"""
    gpu_workers: bool = False
    """whether the scoring machines have a GPU, whatever the planning one has"""

    @property
    def category(self) -> str:
        return self.model.category

    @property
    def partition(self) -> Partition:
        return Partition(self.model.category, self.run_date, self.model.version)


@dataclass(frozen=True)
class PartitionPlan:
    """The images of one category's day, and the plan."""

    job: PartitionJob
    listed: int
    """number of images now"""
    sealed: int
    """number of them that a seal covers"""
    plan: Plan | None
    """plan for the others; None if all are sealed"""
    left_out: LeftOut = field(default_factory=LeftOut)
    """files that were not listed"""

    @property
    def batches(self) -> list[Batch]:
        return [] if self.plan is None else batches_of(self.plan)


@task(name="plan-batches", task_run_name="plan {job.category}", cache_policy=NO_CACHE, **ON_STORAGE_FAULT)
def plan_batches(job: PartitionJob) -> PartitionPlan:
    """List the images of the job's category and day, leave out those that equal their last sealed row, and write
    manifest and empty map array for the rest. Equal images give an equal plan.

    Raises EngineUnavailable if images are left and their engine is not installed here.
    """
    store = open_store(job.store_uri)
    left_out = LeftOut()
    line = open_store(job.images_uri, read_only=True)
    listed = list(images.list_images(line, job.category, job.run_date, left_out))
    seal = seals.read_seal(store, job.partition)
    comparison = compare(store, line, seal, listed, tell=get_run_logger().warning)
    to_score = [*comparison.late, *comparison.changed]
    plan = _publish(store, job, to_score, seal) if to_score else None
    return PartitionPlan(job, listed=len(listed), sealed=len(listed) - len(to_score), plan=plan, left_out=left_out)


def batches_of(plan: Plan) -> list[Batch]:
    """The batches of a plan, in order: a pure function, so that only the plan is passed on."""
    count = -(-plan.images // plan.batch_size)
    return [Batch(plan, index, manifests.batch_digest(plan.digest, index)) for index in range(count)]


def batch_size_for(images_to_score: int, map_bytes: int) -> int:
    """Images of a task, in whole micro-batches where it has several, because incomplete ones cost as much. Depends
    only on the number of images and a map's bytes: a plan must not change with the machine. Pictures are read a few
    at a time, and do not count."""
    shared_out = min(max(images_to_score // FEWEST_TASKS, SMALLEST_BATCH), LARGEST_BATCH, SHARD_BYTES // map_bytes)
    at_least = -(-images_to_score // MOST_TASKS)
    size = shared_out // MICRO_BATCH * MICRO_BATCH or shared_out
    if at_least > size:
        size = -(-at_least // MICRO_BATCH) * MICRO_BATCH
    return max(1, min(size, LARGEST_SHARD_BYTES // map_bytes))


def _engine(job: PartitionJob, seal: Seal | None) -> str:
    """A partition keeps its first engine; a machine with a GPU starts none with OpenVINO."""
    from rd_core.kernels.precision import default_device  # noqa: PLC0415  # brings torch; flow processes import this module, and plan nothing

    begun = seal.plans[0].library if seal else None
    wanted = job.model.library if job.library == AUTO else job.library
    library = begun or wanted
    if begun is None and (job.gpu_workers or default_device().type != "cpu"):
        library = TORCH
    if library != wanted and (begun or job.library != AUTO):  # with AUTO, a GPU may change the library silently
        get_run_logger().warning(
            "engine=%s instead of %s category=%s run_date=%s: %s",
            library, wanted, job.category, job.run_date,
            "the day's other images were scored with it" if begun else "a GPU is used, and OpenVINO needs a CPU",
        )  # fmt: skip
    return engine_here(library)


def _publish(store: Store, job: PartitionJob, to_score: list[ObjectInfo], seal: Seal | None) -> Plan:
    before = seals.last_plan_with(store, seal, [image.key for image in to_score])
    plan = manifests.publish_plan(
        store,
        job.partition,
        to_score,
        preprocessing=job.model.preprocessing,
        batch_size=min(job.batch_images or batch_size_for(len(to_score), job.model.maps.bytes_each), len(to_score)),
        run_id=job.run_id,
        planned_at=job.planned_at,
        engine=_engine(job, seal),
        supersedes=before.digest if before else None,
    )
    array = anomaly_maps.MapArray.of(plan, job.model.maps, job.model.map_threshold)
    anomaly_maps.create_maps(store, plan.map_store, array)
    return plan
