"""Finds damage in complete days, and scores the damaged batches anew."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import dask
from prefect import Task, flow, get_run_logger

from flows.errors import in_words
from flows.settings import Settings
from flows.workplace import settle
from storage.errors import StorageError
from storage.filesystem import open_store
from storage.partitions.seals import read_seal
from storage.records import Partition
from storage.verification.damage import DamagedBatch, DamagedDescription, DamagedManifest, WrongSeal, partition_damage
from tasks.night.mend_batch import mend_batch
from tasks.night.mend_description import mend_description

_THREADS = 4
"""partitions read at once"""


@dataclass(frozen=True)
class Mended:
    """Result of a search for damage."""

    batches: int = 0
    """scored anew"""
    arrays: int = 0
    """map arrays whose metadata was rewritten"""
    problems: tuple[tuple[Partition, str], ...] = ()
    """what could not be repaired, and why"""

    @property
    def total(self) -> int:
        return self.batches + self.arrays


@flow(name="mend-partitions", flow_run_name="repair damaged days", validate_parameters=False)
def mend_partitions(settings: Settings, partitions: Sequence[Partition], priority: int) -> Mended:
    """Read every score file and map of the complete ones among these partitions, and score damaged batches anew."""
    with ThreadPoolExecutor(_THREADS) as pool:
        readings = list(pool.map(lambda partition: _look(settings, partition), partitions))
    damages = [damage for some, _ in readings for damage in some]
    # The array's metadata must be there before a batch's maps are written.
    described, undescribed = _settled(
        settings, mend_description, [damage for damage in damages if isinstance(damage, DamagedDescription)]
    )
    with dask.annotate(priority=priority):
        batches, unscored = _settled(
            settings, mend_batch, [damage for damage in damages if isinstance(damage, DamagedBatch)]
        )
    problems = [*(problem for _, some in readings for problem in some), *undescribed, *unscored]
    for partition, why in problems:
        get_run_logger().error("not mended category=%s day=%s: %s", partition.category, partition.run_date, why)
    return Mended(batches, described, tuple(problems))


def _settled(
    settings: Settings, task: Task[Any, Any], damaged: Sequence[DamagedBatch | DamagedDescription]
) -> tuple[int, list[tuple[Partition, str]]]:
    """(number mended, why others were not)."""
    futures = {
        str(number): task.submit(settings.store, settings.images, damage) for number, damage in enumerate(damaged)
    }
    done, failed = settle(futures)
    return len(done), [(damaged[int(number)].plan.partition, in_words(why)) for number, why in failed.items()]


def _look(
    settings: Settings, partition: Partition
) -> tuple[list[DamagedBatch | DamagedDescription], list[tuple[Partition, str]]]:
    """(batches to score anew, damage that this cannot repair)."""
    store = open_store(settings.store, read_only=True)
    try:
        seal = read_seal(store, partition)
        damages = list(partition_damage(store, seal, deep=True)) if seal else []
    except StorageError as e:
        return [], [(partition, str(e))]
    mendable = [damage for damage in damages if isinstance(damage, DamagedBatch | DamagedDescription)]
    lost = [
        (
            partition,
            f"{damage.where}: {damage.why}. Scoring anew does not repair it: rd-inspect verify names the cure",
        )
        for damage in damages
        if isinstance(damage, DamagedManifest | WrongSeal)
    ]
    return mendable, lost
