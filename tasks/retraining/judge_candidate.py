"""Judging a candidate against the champion on images that neither has seen; the decision is stored with the model."""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from rd_core.gate.decision import (
    Check,
    Cost,
    GateDecision,
    GateScores,
    GateSettings,
    judge,
    judge_threshold,
)
from storage.comparisons.plan import keys_that_chose
from storage.errors import Conflict
from storage.filesystem import Store, open_store
from storage.labels import labels
from storage.models import models
from storage.models.card import ModelCard
from storage.stores import parquet
from tasks.drift.golden_set import read_golden_set
from tasks.retraining.gate_scores import PairScores, score_pair, score_unchanged
from tasks.retraining.gate_set import GateSet, gate_set
from tasks.worker.faults import ON_STORAGE_FAULT
from tasks.worker.progress import tell_phase
from tasks.worker.scorer import Scorer, warm_scorer
from tasks.worker.worker_process import prepare_worker_process

SCHEMA_VERSION = 1
_LISTED = 100
"""left-out images listed in a decision, which counts all"""
_ROWS = pa.schema(
    [
        pa.field("image_key", pa.string(), nullable=False),
        pa.field("part", pa.string(), nullable=False),
        pa.field("is_anomalous", pa.bool_(), nullable=False),
        pa.field("kind", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("champion_score", pa.float32(), nullable=False),
        pa.field("candidate_score", pa.float32(), nullable=False),
        pa.field("champion_flagged", pa.bool_(), nullable=False),
        pa.field("candidate_flagged", pa.bool_(), nullable=False),
    ]
)
"""of gate.parquet: one row for each image, with both models' scores"""


@dataclass(frozen=True)
class JudgeOrder:
    """Candidate and champion, and the keys of the scores."""

    category: str
    champion: str
    candidate: str
    part_pattern: str | None
    key: str
    """of the table of both models' scores"""
    settings: GateSettings


@dataclass(frozen=True)
class JudgedCandidate:
    """The decision, as in models/<category>/<candidate>/decision.json."""

    category: str
    champion: str
    candidate: str
    decision: GateDecision
    images: dict[str, int]
    """number of images that both models were compared on: normal, anomalous, masked, parts; left_out: others"""
    kinds: dict[str, int]
    """anomalous images by kind of defect"""
    sources: dict[str, int]
    """images by source; see tasks.retraining.gate_set"""
    left_out: tuple[tuple[str, str], ...]
    """(key, why), the first of them"""
    scores: str
    """key of the table of both models' scores"""


@task(name="judge-candidate", task_run_name="judge {order.category}", cache_policy=NO_CACHE, **ON_STORAGE_FAULT)
def judge_candidate(
    store_uri: str, images_uri: str, order: JudgeOrder, *, run_id: str, now: datetime
) -> JudgedCandidate:
    """Score the gate's images with both models and decide. A repeated call returns the stored decision.

    A candidate with the champion's weights is judged by its threshold alone (rd_core.gate.decision.judge_threshold).
    Raises Conflict if the candidate was judged against another champion: decisions are final.
    """
    prepare_worker_process()
    store, images = open_store(store_uri), open_store(images_uri, read_only=True)
    known = models.read_decision(store, order.category, order.candidate)
    if known is not None:
        return _judged(_of_this_champion(known, order))
    tell_phase(order.category, "judging")
    cards = [models.read_card(store, order.category, version) for version in (order.champion, order.candidate)]
    champion, candidate = (warm_scorer(store, order.category, v) for v in (order.champion, order.candidate))
    chose = _that_chose(store, *cards)
    judging = gate_set(store, order.category, cards[0], cards[1], order.part_pattern, chose)
    both = champion, champion if cards[0].score_scale == cards[1].score_scale else candidate
    pair = score_pair(store, images, judging.images, *both)
    golden = _golden(store, images, order.category, *both)
    scores = _scores(pair, champion, candidate, cards[1].threshold.alpha)
    if cards[0].weights.sha256 == cards[1].weights.sha256:
        decision = judge_threshold(scores, golden, order.settings)
    else:
        before, after = (Cost(t, c.weights.size, c.method.name) for t, c in zip(pair.seconds, cards, strict=True))
        decision = judge(scores, before, after, golden, order.settings)
    store.write(order.key, parquet.to_bytes(_table(pair, champion, candidate)))
    record = {
        "schema_version": SCHEMA_VERSION,
        "category": order.category,
        "champion": order.champion,
        "candidate": order.candidate,
        "judged_at": now.isoformat(),
        "run_id": run_id,
        **decision.to_dict(),
        "settings": asdict(order.settings),
        **_what_with(judging, pair, golden, order.key),
    }
    models.publish_decision(store, order.category, order.candidate, plain(record))
    tell_phase(order.category, "judged", done=1, total=1)
    get_run_logger().info(
        "candidate judged run=%s category=%s champion=%s candidate=%s promote=%s images=%d",
        run_id, order.category, order.champion, order.candidate, decision.promote, len(pair.images),
    )  # fmt: skip
    return _judged(record)


def plain(value: Any) -> Any:
    """`value` for JSON: no number that is not finite."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _that_chose(store: Store, champion: ModelCard, candidate: ModelCard) -> frozenset[str]:
    """Keys of the images that chose the candidate's method in place of the champion's. Raises KeyNotFound for a lost
    comparison, of which nobody knows them."""
    choice = candidate.method.choice
    if choice is None or choice.comparison is None or candidate.method.name == champion.method.name:
        return frozenset()
    return keys_that_chose(store, candidate.category, choice.comparison)


def _of_this_champion(known: dict[str, Any], order: JudgeOrder) -> dict[str, Any]:
    if known["champion"] != order.champion:
        raise Conflict(
            f"{order.candidate} of {order.category!r} was judged against {known['champion']} and not "
            f"{order.champion}; that decision is final and does not apply to the present champion. Retrain again: "
            f"rd-inspect retrain --category {order.category}"
        )
    return known


def _scores(pair: PairScores, champion: Scorer, candidate: Scorer, alpha: float) -> GateScores:
    regions = pair.regions
    return GateScores(
        is_anomalous=np.array([image.is_anomalous for image in pair.images], np.bool_),
        parts=[image.part for image in pair.images],
        kinds=[image.kind for image in pair.images],
        champion=pair.champion,
        candidate=pair.candidate,
        champion_threshold=float(champion.threshold),
        candidate_threshold=float(candidate.threshold),
        alpha=alpha,
        champion_aupro=regions.champion if regions else None,
        candidate_aupro=regions.candidate if regions else None,
        region_parts=regions.parts if regions else None,
    )


def _golden(
    store: Store, images: Store, category: str, champion: Scorer, candidate: Scorer
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Both models' scores of the unchanged golden images that nobody labels anomalous."""
    table = labels.read_labels(store, category).to_pylist()
    bad = {row["image_key"] for row in table if row["label"] == "anomalous"}
    digests = {image.key: image.content_digest for image in read_golden_set(store, category) if image.key not in bad}
    return score_unchanged(images, digests, champion, candidate)


def _table(pair: PairScores, champion: Scorer, candidate: Scorer) -> pa.Table:
    columns: list[Any] = [
        [image.key for image in pair.images],
        [image.part for image in pair.images],
        [image.is_anomalous for image in pair.images],
        [image.kind for image in pair.images],
        [image.source for image in pair.images],
        pair.champion,
        pair.candidate,
        pair.champion > champion.threshold,
        pair.candidate > candidate.threshold,
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _ROWS, strict=True)]
    return pa.Table.from_arrays(arrays, schema=_ROWS)


def _what_with(judging: GateSet, pair: PairScores, golden: tuple[Any, Any] | None, key: str) -> dict[str, Any]:
    """The images behind the decision: counts, digest, and those left out."""
    left_out = [*judging.left_out, *pair.left_out]
    anomalous = [image for image in pair.images if image.is_anomalous]
    return {
        "images": {
            "normal": len(pair.images) - len(anomalous),
            "anomalous": len(anomalous),
            "masked": sum(image.mask_key is not None for image in anomalous),
            "parts": len({image.part for image in pair.images}),
            "golden": 0 if golden is None else len(golden[0]),
            "left_out": len(left_out),
        },
        "kinds": dict(sorted(Counter(image.kind or "no kind given" for image in anomalous).items())),
        "sources": dict(sorted(Counter(image.source for image in pair.images).items())),
        "digest": hashlib.sha256("\n".join(image.key for image in pair.images).encode()).hexdigest(),
        "left_out": [list(image) for image in left_out[:_LISTED]],
        "scores": key,
    }


def _judged(record: Mapping[str, Any]) -> JudgedCandidate:
    """From the stored decision, so that first and later calls agree."""
    kept = plain(record)
    checks = tuple(Check(**check) for check in kept["checks"])
    return JudgedCandidate(
        kept["category"],
        kept["champion"],
        kept["candidate"],
        GateDecision(kept["promote"], kept["gained"], checks, kept["words"]),
        kept["images"],
        kept["kinds"],
        kept["sources"],
        tuple((key, why) for key, why in kept["left_out"]),
        kept["scores"],
    )
