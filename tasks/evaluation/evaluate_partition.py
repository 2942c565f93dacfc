"""One partition's sealed scores and maps, compared with labels and masks."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from rd_core.errors import ConfigError
from rd_core.metrics.float16_bins import bins
from rd_core.metrics.pixel_tables import PixelTables
from rd_core.metrics.region_recall import RegionRecall
from rd_core.pictures.image_view import ImageView
from storage.comparisons.plan import keys_that_chose, plan_key
from storage.errors import KeyNotFound
from storage.filesystem import Store, open_store
from storage.labels import labels
from storage.layout import evaluation_partition_prefix
from storage.models import models
from storage.models.card import ModelCard
from storage.partitions import seals
from storage.partitions.rows_in_force import rows_in_force
from storage.records import Partition
from tasks.evaluation.tables import IMAGES, PixelCounts, write_defects, write_pixels, write_rows
from tasks.reporting.fair_judges import FairJudges, Unfair
from tasks.reporting.kept_result import bytes_there, inputs_digest, keep, kept
from tasks.reporting.labelled_pixels import LabelledPixels, labelled_pixels
from tasks.reporting.partition_state import labels_of_day, labels_state, scored_state
from tasks.training.parts import parts_of_keys
from tasks.worker.faults import ON_STORAGE_FAULT

_KEPT = "inputs.json"


@dataclass(frozen=True)
class EvaluatedPartition:
    """The counts of one partition, and their keys."""

    partition: Partition
    images: str
    """key of the rows of labelled images (evaluation_tables.IMAGES)"""
    pixels: str
    """key of the pixel counts"""
    defects: str
    """key of the pixels of masked defects"""
    judged: int
    """number of scored images with an evaluation label"""
    masked_defects: int
    """number of anomalous ones whose mask was counted"""
    unlabelled: int
    """number of scored images without a label"""
    for_training: int
    """number of scored images labelled for training: not judged"""
    trained_on: int
    """number labelled for evaluation but used in training, or normal and of such a part: left out"""
    chose: int
    """number labelled for evaluation whose parts chose the model's method: left out"""
    unreadable: int
    """number labelled for evaluation without a score"""
    not_scored: int
    """number labelled for evaluation without a sealed row"""
    notes: tuple[str, ...] = ()
    """further sentences for the report"""


@task(
    name="evaluate-partition",
    task_run_name="evaluate {partition.category} {partition.run_date}",
    cache_policy=NO_CACHE,
    **ON_STORAGE_FAULT,
)
def evaluate_partition(store_uri: str, partition: Partition, first_day: date, last_day: date) -> EvaluatedPartition:
    """Count one partition and write the counts below the evaluation of `first_day` to `last_day`.

    An image's latest sealed row counts. Repeating it gives the same bytes and keys; `unchanged_partition` finds them
    while the inputs are the same. Raises KeyNotFound for an unsealed partition.
    """
    store = open_store(store_uri)
    held = labels.read_labels(store, partition.category)
    inputs = _inputs(store, partition, held)
    prefix = evaluation_partition_prefix(
        first_day, last_day, partition.category, partition.run_date, partition.model_version
    )
    card = _card(store, partition)
    rows, receipt = _labelled_rows(store, partition, card, held)
    judged = [row for row in rows if row["status"] == "ok"]
    pixels, verdicts, defects = _count(store, judged, card)
    for row in judged:
        row["pixels"], row["problem"] = verdicts[row["image_key"]]
    counted = replace(
        receipt,
        images=f"{prefix}images.parquet",
        pixels=f"{prefix}pixels.npz",
        defects=f"{prefix}defects.parquet",
        judged=len(judged),
        masked_defects=pixels.tables.anomalous_images,
    )
    files = {
        counted.images: write_rows(store, counted.images, rows, IMAGES),
        counted.pixels: write_pixels(store, counted.pixels, pixels),
        counted.defects: write_defects(store, counted.defects, defects),
    }
    keep(store, f"{prefix}{_KEPT}", inputs, counted, files)
    problems = sum(row["pixels"] == "left out" for row in judged)
    get_run_logger().info(
        "partition evaluated category=%s day=%s model=%s judged=%d masked=%d left_out=%d",
        partition.category, partition.run_date, partition.model_version,
        len(judged), pixels.tables.anomalous_images, problems,
    )  # fmt: skip
    return counted


def unchanged_partition(
    store: Store, partition: Partition, first_day: date, last_day: date, held: pa.Table
) -> EvaluatedPartition | None:
    """The stored result of `evaluate_partition`, if its inputs are the same; `held`: the category's labels from
    `read_labels`."""
    prefix = evaluation_partition_prefix(
        first_day, last_day, partition.category, partition.run_date, partition.model_version
    )
    key = f"{prefix}{_KEPT}"
    if store.info(key) is None:
        return None
    stored = kept(store, key, _inputs(store, partition, held))
    return stored and EvaluatedPartition(**{**stored, "partition": partition, "notes": tuple(stored["notes"])})


def _inputs(store: Store, partition: Partition, held: pa.Table) -> str:
    """A digest of all inputs, with the store's address, which problems name."""
    card = _card(store, partition)
    choice = card and card.method.choice
    chose = choice and choice.comparison and bytes_there(store, plan_key(partition.category, choice.comparison))
    return inputs_digest([store.uri, *scored_state(store, partition), *labels_state(store, partition, held), chose])


def _card(store: Store, partition: Partition) -> ModelCard | None:
    """None if the card is gone: scores can be judged without it."""
    try:
        return models.read_card(store, partition.category, partition.model_version)
    except KeyNotFound:
        return None


def _labelled_rows(
    store: Store, partition: Partition, card: ModelCard | None, held: pa.Table
) -> tuple[list[dict[str, Any]], EvaluatedPartition]:
    """(rows of IMAGES with evaluation labels, number of images in every other case)."""
    scored = _latest_rows(store, partition)
    known = {label["image_key"]: label for label in labels_of_day(partition, held)}
    judges, notes = _judges(store, partition, list(scored), card)
    case_of = {key: _case(row, known.get(key), judges) for key, row in scored.items()}
    rows = [
        _row(scored[key], known[key], judges.part_of[key])
        for key, case in case_of.items()
        if case in ("judged", "unreadable")
    ]
    cases = Counter(case_of.values())
    missing = [key for key, label in known.items() if label["purpose"] == "evaluation" and key not in scored]
    counts = {name: cases[name] for name in ("unlabelled", "for_training", "trained_on", "chose", "unreadable")}
    receipt = EvaluatedPartition(
        partition,
        "",
        "",
        "",
        judged=cases["judged"],
        masked_defects=0,
        **counts,
        not_scored=len(missing),
        notes=notes,
    )
    return sorted(rows, key=lambda row: str(row["image_key"])), receipt


def _latest_rows(store: Store, partition: Partition) -> dict[str, dict[str, Any]]:
    """The last sealed row of each image, by key."""
    seal = seals.read_seal(store, partition)
    if seal is None:
        raise KeyNotFound(
            f"{partition.category} of {partition.run_date} by model {partition.model_version} is not complete in "
            f"{store.uri}, so there is nothing to evaluate. Inspect that day first: "
            f"rd-inspect inspect --run-date {partition.run_date} --category {partition.category}"
        )
    tables = rows_in_force(store, [seal])
    return {row["image_key"]: row for table in tables for row in table.to_pylist()}


def _case(row: dict[str, Any], label: dict[str, Any] | None, judges: FairJudges) -> str:
    if label is None:
        return "unlabelled" if row["status"] == "ok" else "neither scored nor labelled"
    if label["purpose"] != "evaluation":
        return "for_training"
    why_not = judges.why_not(row["image_key"], is_anomalous=label["label"] == "anomalous")
    if why_not is not None:
        return "chose" if why_not is Unfair.CHOSE else "trained_on"
    return "judged" if row["status"] == "ok" else "unreadable"


def _judges(
    store: Store, partition: Partition, keys: Sequence[str], card: ModelCard | None
) -> tuple[FairJudges, tuple[str, ...]]:
    """(what may judge the model, notes). Parts are told from the files' names as in training."""
    if card is None:
        return FairJudges.of(keys, None, ()), ()
    pattern, chose, notes = card.images.part_pattern, frozenset[str](), []
    try:
        parts_of_keys(keys, pattern, must_match=True)
    except ConfigError as e:
        notes.append(
            f"{partition.run_date}: {e} Here every image counts as a part of its own, and the intervals may be too "
            "narrow."
        )
    choice = card.method.choice
    if choice is not None and choice.comparison is not None:
        try:
            chose = keys_that_chose(store, partition.category, choice.comparison)
        except KeyNotFound:
            notes.append(
                f"The comparison that chose the method of {card.version} is gone ({choice.comparison}), so the "
                "images that chose it flatter the figures. Restore its folder and evaluate again."
            )
    return FairJudges.of(keys, pattern, card.images.seen, chose), tuple(notes)


def _row(scored: dict[str, Any], label: dict[str, Any], part: str) -> dict[str, Any]:
    from_label = {"part": part, **{name: label[name] for name in ("label", "kind", "mask_key")}}
    from_score = {name: scored[name] for name in IMAGES.names if name in scored}
    return {**from_score, **from_label, "pixels": None, "problem": scored["error"]}


def _count(
    store: Store, judged: list[dict[str, Any]], card: ModelCard | None
) -> tuple[PixelCounts, dict[str, tuple[str, str | None]], dict[str, NDArray[np.uint16]]]:
    """(pixel counts, (counted | no mask | left out, why) of each image, bins of masked defects' pixels), in one pass
    over maps and masks."""
    tables, recall = PixelTables.empty(), None
    defects: dict[str, NDArray[np.uint16]] = {}
    verdicts: dict[str, tuple[str, str | None]] = {}
    view = ImageView.from_dict(card.preprocessing.view) if card else None
    for chunk in labelled_pixels(store, judged, view):
        verdicts |= {image.row["image_key"]: _verdict(image) for image in chunk}
        usable = [image for image in chunk if image.values is not None]
        maps = [image.values for image in usable if image.values is not None]
        masks = [image.mask for image in usable]
        anomalous = [image.row["label"] == "anomalous" for image in usable]
        tables += PixelTables.of(maps, masks, anomalous, [image.counted for image in usable])
        if card is not None:  # which tells what a map's values can be held against
            regions = RegionRecall.of(maps, masks, anomalous, card.map_threshold)
            recall = regions if recall is None else recall + regions
        defects |= {
            image.row["image_key"]: bins(image.values[image.mask])
            for image in usable
            if image.values is not None and image.mask is not None and image.row["label"] == "anomalous"
        }
    return PixelCounts(tables, recall), verdicts, defects


def _verdict(image: LabelledPixels) -> tuple[str, str | None]:
    if image.problem is not None:
        return "left out", image.problem
    unmasked = image.row["label"] == "anomalous" and image.mask is None
    return ("no mask" if unmasked else "counted"), None
