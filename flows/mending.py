"""Sealed days that are damaged, found and scored anew."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import dask
from prefect import flow, get_run_logger

from flows.settings import Settings
from flows.settling import in_words, settle
from storage.damage import DamagedBatch, DamagedManifest, partition_damage
from storage.errors import StorageError
from storage.filesystem import open_store
from storage.records import Partition
from storage.seals import read_seal
from tasks.mend_batch import mend_batch

_THREADS = 4
"""partitions that are read at once"""


@dataclass(frozen=True)
class Mended:
    """What a search for damage came to."""

    batches: int = 0
    """scored anew"""
    problems: tuple[tuple[Partition, str], ...] = ()
    """what could not be mended, and why"""


@flow(name="mend-partitions", validate_parameters=False)
def mend_partitions(settings: Settings, partitions: Sequence[Partition], priority: int) -> Mended:
    """Read every part and map of these partitions, as far as they are sealed, and score anew what is damaged."""
    with ThreadPoolExecutor(_THREADS) as pool:
        looks = list(pool.map(lambda partition: _look(settings, partition), partitions))
    damaged = [one for found, _ in looks for one in found]
    with dask.annotate(priority=priority):
        futures = {
            f"{one.part.key} {one.index}": mend_batch.submit(settings.store, settings.images, one) for one in damaged
        }
    done, failed = settle(futures)
    where = {f"{one.part.key} {one.index}": one.plan.partition for one in damaged}
    problems = [problem for _, some in looks for problem in some]
    problems += [(where[name], in_words(why)) for name, why in failed.items()]
    for partition, why in problems:
        get_run_logger().error("not mended category=%s day=%s: %s", partition.category, partition.run_date, why)
    return Mended(len(done), tuple(problems))


def _look(settings: Settings, partition: Partition) -> tuple[list[DamagedBatch], list[tuple[Partition, str]]]:
    """(what to score anew, what that cannot mend)."""
    store = open_store(settings.store, read_only=True)
    try:
        seal = read_seal(store, partition)
        found = list(partition_damage(store, seal, deep=True)) if seal else []
    except StorageError as e:
        return [], [(partition, str(e))]
    lost = [(partition, f"{one.where}: {one.why}") for one in found if isinstance(one, DamagedManifest)]
    return [one for one in found if isinstance(one, DamagedBatch)], lost
