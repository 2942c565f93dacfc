"""Replay of a category's golden images; a model version's first replay is its reference."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from storage.errors import OF_ONE_OBJECT, AlreadyExists, KeyNotFound
from storage.filesystem import Store, open_store
from storage.images import content_digest
from storage.layout import card_key, golden_reference_key, golden_scores_key, golden_set_key, weights_key
from storage.models import models
from storage.stores import parquet
from tasks.drift.golden_set import GoldenImage, read_golden_set
from tasks.night.pin_champion import PinnedModel
from tasks.reporting.kept_result import bytes_there, inputs_digest, keep, kept, stated
from tasks.scoring.picture_scores import ScoredPicture, score_pictures
from tasks.worker.faults import ON_STORAGE_FAULT
from tasks.worker.picture_reader import LoadedPicture, micro_batches, read_picture
from tasks.worker.software import processor
from tasks.worker.worker_process import prepare_worker_process

if TYPE_CHECKING:
    from tasks.worker.scorer import Scorer

SAME_FILE = ("ok", "unreadable")
"""states of a golden image with the chosen file"""
_SCHEMA = pa.schema(
    [
        pa.field("image_key", pa.string(), nullable=False),
        pa.field("content_digest", pa.string(), nullable=False),
        pa.field("score", pa.float32()),
        pa.field("status", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class GoldenReceipt:
    """The result of a replay."""

    category: str
    model_version: str
    key: str
    """of the scores"""
    images: int
    scored: int
    left_out: int
    """number of files that are gone or replaced, which say nothing about the software"""
    is_reference: bool
    """the first replay of its weights and view"""


@task(name="replay-golden-set", task_run_name="replay {model.category}", cache_policy=NO_CACHE, **ON_STORAGE_FAULT)
def replay_golden_set(store_uri: str, images_uri: str, run_date: date, model: PinnedModel) -> GoldenReceipt | None:
    """Score the golden images with the pinned model and store the scores under the day; None without golden images.

    Can be repeated: the day's last replay counts, the first of its weights and view is their reference,
    whichever version has them. `unchanged_replay` finds it while its inputs are the same.
    """
    store = open_store(store_uri)
    inputs = _inputs(store, open_store(images_uri, read_only=True), model.category, model.version)
    golden = read_golden_set(store, model.category)
    if not golden:
        return None
    from tasks.worker.scorer import warm_scorer  # noqa: PLC0415  # brings torch: 250 MiB that flow processes are spared

    prepare_worker_process()
    scorer = warm_scorer(store, model.category, model.version)
    table = _replayed(open_store(images_uri, read_only=True), scorer, golden)
    of = _scale(store, model.category, model.version)
    data, key = parquet.to_bytes(table), golden_scores_key(run_date, model.category, of)
    store.write(key, data)
    is_reference = _become_reference(store, golden_reference_key(model.category, of), data)
    states = table["status"].to_pylist()
    left_out = sum(state not in SAME_FILE for state in states)
    get_run_logger().info(
        "golden images replayed category=%s model=%s images=%d left_out=%d reference=%s",
        model.category, model.version, len(golden), left_out, is_reference,
    )  # fmt: skip
    receipt = GoldenReceipt(
        model.category, model.version, key, len(golden), states.count("ok"), left_out, is_reference
    )
    keep(store, _kept_key(key), inputs, receipt, {key: content_digest(data)})
    return receipt


def unchanged_replay(
    store: Store, images: Store, run_date: date, category: str, version: str
) -> GoldenReceipt | None:
    """The day's replay, if images, model, software and machine are still the same."""
    of = _scale(store, category, version)
    key, reference = golden_scores_key(run_date, category, of), golden_reference_key(category, of)
    if store.info(_kept_key(key)) is None or store.info(reference) is None:
        return None
    stored = kept(store, _kept_key(key), _inputs(store, images, category, version))
    return stored and replace(GoldenReceipt(**stored), is_reference=False)


def _scale(store: Store, category: str, version: str) -> str:
    """What versions with comparable scores share; the version if its card cannot be read, which is told elsewhere."""
    try:
        return models.read_card(store, category, version).score_scale
    except OF_ONE_OBJECT:
        return version


def _holder(store: Store, category: str, version: str) -> str:
    """The version that holds the weights, likewise."""
    try:
        return models.read_card(store, category, version).weights_version
    except OF_ONE_OBJECT:
        return version


def _kept_key(scores_key: str) -> str:
    return scores_key.replace(".parquet", ".inputs.json")


def _inputs(store: Store, images: Store, category: str, version: str) -> str:
    """A digest of everything whose change a replay detects."""
    of = _holder(store, category, version)
    own = (golden_set_key(category), card_key(category, of))
    return inputs_digest(
        [
            [bytes_there(store, key) for key in own],
            stated(store, [weights_key(category, of)]),
            stated(images, (image.key for image in read_golden_set(store, category))),
            processor(),
        ]
    )


def golden_pair(
    store: Store, category: str, scale: str, first_day: date, last_day: date
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """(reference, latest replay of the window): scores (g,) of the same files in the same order; NaN if a file can no
    longer be scored. None without a replay in the window or a file to compare. `scale`: of the
    model's card."""
    latest = _latest_replay(store, category, scale, first_day, last_day)
    try:
        reference = _rows(store, golden_reference_key(category, scale))
    except KeyNotFound:
        return None
    before = {_file(row): row["score"] for row in reference if row["score"] is not None}
    pairs = [
        (before[_file(row)], np.nan if row["score"] is None else row["score"])
        for row in latest or []
        if row["status"] in SAME_FILE and _file(row) in before
    ]
    if not pairs:
        return None
    then, now = (np.array(values, dtype=np.float64) for values in zip(*pairs, strict=True))
    return then, now


def _file(row: dict) -> tuple[str, str]:
    return row["image_key"], row["content_digest"]


def _latest_replay(store: Store, category: str, scale: str, first_day: date, last_day: date) -> list[dict] | None:
    for back in range((last_day - first_day).days + 1):
        try:
            return _rows(store, golden_scores_key(last_day - timedelta(days=back), category, scale))
        except KeyNotFound:
            continue
    return None


def _rows(store: Store, key: str) -> list[dict]:
    return parquet.from_bytes(store.read(key), store.address(key)).to_pylist()


def _become_reference(store: Store, key: str, data: bytes) -> bool:
    try:
        store.create(key, data)
    except AlreadyExists:
        return False
    return True


def _replayed(images: Store, scorer: "Scorer", golden: list[GoldenImage]) -> pa.Table:
    """One row for each image, in order."""
    keys = [image.key for image in golden]
    scored: list[ScoredPicture] = []
    read = partial(read_picture, images, scorer.image_format)
    for pictures in micro_batches(read, keys, scorer.image_format.picture_bytes):
        scored += score_pictures(scorer, pictures)
    states = [_state(picture.loaded, image) for picture, image in zip(scored, golden, strict=True)]
    columns = [
        keys,
        [image.content_digest for image in golden],
        [picture.score if state == "ok" else None for picture, state in zip(scored, states, strict=True)],
        states,
    ]
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)], schema=_SCHEMA
    )


def _state(picture: LoadedPicture, chosen: GoldenImage) -> str:
    """ok, unreadable, gone or replaced."""
    if picture.digest is None:
        return "gone"
    return picture.status if picture.digest == chosen.content_digest else "replaced"
