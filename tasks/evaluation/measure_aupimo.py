"""The second pass of an evaluation: AUPIMO of each masked defect, against the normal images of all its days."""

from collections.abc import Sequence
from datetime import date
from functools import reduce
from operator import add

from prefect import task
from prefect.cache_policies import NO_CACHE

from rd_core.metrics.aupimo import Aupimo
from storage.filesystem import open_store
from storage.layout import evaluation_partition_prefix
from storage.records import Partition
from tasks.evaluation.evaluate_partition import EvaluatedPartition
from tasks.evaluation.labelled_pixels import labelled_pixels
from tasks.evaluation.tables import AUPIMO, read_pixels, read_rows, write_rows
from tasks.faults import ON_STORAGE_FAULT


@task(
    name="measure-aupimo",
    task_run_name="aupimo {evaluated.partition.category} {evaluated.partition.run_date}",
    cache_policy=NO_CACHE,
    **ON_STORAGE_FAULT,
)
def measure_aupimo(
    store_uri: str, evaluated: EvaluatedPartition, pixels: Sequence[str], first_day: date, last_day: date
) -> str:
    """Write each masked defect's AUPIMO (evaluation_tables.AUPIMO); the key.

    `pixels` are the keys of the pixel counts of every partition of the same category and model version: the
    false-positive rate that all images share comes from them.
    """
    store = open_store(store_uri)
    partition: Partition = evaluated.partition
    aupimo = Aupimo.of(reduce(add, (read_pixels(store, key).tables for key in pixels)))
    rows = read_rows(store, evaluated.images)
    masked = [row for row in rows if row["label"] == "anomalous" and row["pixels"] == "counted"]
    scores: dict[str, float] = {}
    for chunk in labelled_pixels(store, masked):
        usable = [(one.row["image_key"], one.values, one.mask) for one in chunk if one.values is not None]
        maps, masks = [values for _, values, _ in usable], [mask for *_, mask in usable]
        found = aupimo.scores(maps, masks, [True] * len(usable))
        scores |= dict(zip((key for key, *_ in usable), found.tolist(), strict=True))
    prefix = evaluation_partition_prefix(
        first_day, last_day, partition.category, partition.run_date, partition.model_version
    )
    key = f"{prefix}aupimo.parquet"
    write_rows(store, key, [{"image_key": name, "aupimo": score} for name, score in sorted(scores.items())], AUPIMO)
    return key
