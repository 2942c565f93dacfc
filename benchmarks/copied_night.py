"""What planning a sealed night costs: unchanged, in a copy without times, and in that copy once more.

    python -m benchmarks.copied_night [--images 100000] [--folder FOLDER]

The images are hard links to a few small PNGs, the rows made up but for keys, etags and digests. "Copied" is every
file with a new time, so that every etag differs and every image is read once.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from prefect.logging import disable_run_logger

from benchmarks.night_play import DAY
from benchmarks.night_sizes import put_links
from storage import layout
from storage.partitions import manifests, scores, seals
from storage.partitions.scores import ScoreRow
from storage.partitions.seals import SealedPart, SealedPlan
from storage.pictures.images import content_digest, list_images
from storage.records import ObjectInfo, Plan
from storage.stores.filesystem import Store, open_store
from tasks.night.plan_batches import PartitionJob, PartitionPlan, batch_size_for, batches_of, plan_batches
from tests.factories import pinned

NOW = datetime(2026, 3, 3, 2, 0, tzinfo=UTC)


def main() -> None:
    """Print a line a planning."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--folder", help="where the store goes, removed afterwards; default a temporary one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as place, disable_run_logger():
        store = open_store(place)
        put_links(place, arguments.images, DAY)
        seal_night(store)
        _time("unchanged", store)
        for info in list(list_images(store, "cloth", DAY)):
            os.utime(f"{place}/{info.key}")
        _time("copied", store)
        _time("copied, once more", store)
        remembered = store.info(layout.settled_key("cloth", DAY))
        print(f"remembered in {remembered.size if remembered else 0:,} bytes; load {os.getloadavg()[0]:.1f}")


def seal_night(store: Store) -> None:
    """Seal a night of all images, without maps."""
    job = PartitionJob(store.uri, store.uri, DAY, pinned("cloth"), "run", NOW)
    listed = list(list_images(store, "cloth", DAY))
    plan = manifests.publish_plan(
        store, job.partition, listed, preprocessing=job.model.preprocessing, batch_size=batch_size_for(len(listed)),
        run_id=job.run_id, planned_at=NOW,
    )  # fmt: skip
    digests: dict[str, str] = {}
    for image in listed:
        if image.etag not in digests:  # of links to one file it is one
            digests[image.etag] = content_digest(store.read(image.key))
    parts = tuple(
        _part(store, plan, batch.digest, listed[batch.start : batch.stop], digests) for batch in batches_of(plan)
    )
    n = plan.images
    seals.add_plan(
        store, plan.partition,
        SealedPlan(plan.manifest, plan.digest, plan.map_store, n, 0, n, 0, 0, parts, plan.run_id, NOW),
    )  # fmt: skip


def _part(store: Store, plan: Plan, digest: str, images: Sequence[ObjectInfo], digests: dict[str, str]) -> SealedPart:
    where = plan.partition
    rows = [
        ScoreRow(
            image.key, image.etag, digests[image.etag], where.category, where.run_date, NOW, where.model_version, "p",
            None, 1.0, None, None, "unreadable", "made up", plan.map_store, None, None, None, None, NOW, plan.run_id,
        )
        for image in images
    ]  # fmt: skip
    key = layout.part_key(where.category, where.run_date, where.model_version, digest)
    sealed, count = scores.write_part(store, key, rows)
    return SealedPart(key, count, sealed)


def _time(what: str, store: Store) -> PartitionPlan:
    wall, cpu = time.perf_counter(), time.process_time()
    planned = plan_batches.fn(PartitionJob(store.uri, store.uri, DAY, pinned("cloth"), "again", NOW))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert planned.plan is None, "something is to be scored again"
    print(f"{what}: {planned.listed:,} images, {wall:.1f} s ({cpu:.1f} processor s)", flush=True)
    return planned


if __name__ == "__main__":
    main()
