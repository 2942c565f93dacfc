"""Plants with a trained champion and new labels, tiny enough to be retrained in seconds."""

import io
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from proofs.model_cards import publish_made_up
from rd_core.calibration.threshold import calibrate
from rd_core.detectors import checkpoint
from rd_core.detectors.reverse_distillation.detector import ReverseDistillation
from storage.filesystem import Store
from storage.labels import labels
from storage.labels.labels import Label
from storage.layout import image_key, mask_key
from storage.models import models
from tasks.worker.preprocessing import PREPROCESSING_VERSION
from tests.factories import DAY, NOW
from tests.made_once import made_once
from tests.rd_core.small_trainings import fit, small
from tests.rd_core.striped_images import SIZE, textured, with_blot

TRAINED = DAY - timedelta(days=10)
"""day of the champion's own images"""
ALPHA = 0.1
_STEPS = 30


@cache
def trained() -> ReverseDistillation:
    """Knows the stripes of `textured`; not to be changed."""
    return checkpoint.from_bytes(_weights())


@cache
def _weights() -> bytes:
    return made_once("trained champion", _train)


def _train() -> bytes:
    settings = small(steps=_STEPS, batch_size=8, validate_every=_STEPS)
    # As many as a candidate will know: what few normals teach differs.
    return checkpoint.to_bytes(fit(settings, textured(56), textured(8, seed=1)).detector)


@cache
def _held_out() -> tuple[float, ...]:
    """Scores of 20 held-out normals."""
    return tuple(trained().score(textured(20, seed=2)).scores.tolist())


def put_champion(
    store: Store, category: str, version: str = "v1", *, threshold: float | None = None, champion: bool = True
) -> list[str]:
    """Publish the trained model with labelled images of its own; their keys. `threshold`: not the calibrated one."""
    weights, scores = _weights(), _held_out()
    keys = put_pictures(store, category, textured(16, seed=3), TRAINED, "old")
    found = asdict(calibrate(np.array(scores), ALPHA))
    if threshold is not None:
        found |= {"value": threshold, "low": threshold, "high": threshold}
    publish_made_up(
        store,
        category,
        version,
        weights,
        side=trained().settings.image_height,
        maps=dict(zip(("height", "width"), trained().settings.map_size, strict=True)),
        method={"settings": trained().settings.to_dict()},
        preprocessing={"version": PREPROCESSING_VERSION},
        threshold=found,
        calibration={"scores": tuple(sorted(scores))},
        images={"train": tuple(keys[:10]), "early_stop": tuple(keys[10:12]), "calibration": tuple(keys[12:])},
    )
    put_labels(store, category, "old", keys, labelled_at=NOW - timedelta(days=9))
    if champion:
        models.promote(store, category, version, by="test", now=NOW)
    return keys


def put_judges(store: Store, category: str, normals: int = 30, defects: int = 32, *, masks: bool = True) -> list[str]:
    """Images labelled for evaluation: good ones, then defective ones of two kinds; their keys."""
    good = put_pictures(store, category, textured(normals, seed=4), DAY, "judge-good")
    bad = put_pictures(store, category, with_blot(textured(defects, seed=5)), DAY, "judge-bad")
    put_labels(store, category, "judges", good, purpose="evaluation")
    blot = np.zeros((SIZE, SIZE), np.uint8)
    blot[20:36, 20:36] = 255
    rows = []
    for number, key in enumerate(bad):
        mask = mask_key(category, DAY, f"judge-bad-{number:03}.png") if masks else None
        if mask:
            store.write(mask, encoded(blot))
        rows.append(Label(key, "anomalous", mask, "ada", NOW, ("hole", "stain")[number % 2], "evaluation"))
    labels.write_labels(store, category, rows, "judges-bad")
    return good + bad


def put_pictures(
    store: Store, category: str, pictures: NDArray[np.uint8], day: date = DAY, name: str = "new"
) -> list[str]:
    """uint8 (n, H, W, 3) as PNGs; their keys."""
    keys = [image_key(category, day, f"{name}-{number:03}.png") for number in range(len(pictures))]
    for key, picture in zip(keys, pictures, strict=True):
        store.write(key, encoded(picture))
    return keys


def put_labels(
    store: Store,
    category: str,
    name: str,
    keys: Sequence[str],
    word: str = "normal",
    *,
    by: str | None = "ada",
    labelled_at: datetime = NOW,
    purpose: str = "training",
) -> None:
    rows = [Label(key, word, None, by, labelled_at, None, purpose) for key in keys]
    labels.write_labels(store, category, rows, name)


def put_new_normals(store: Store, category: str, count: int, day: date = DAY, seed: int = 6) -> list[str]:
    """New images of the same product, labelled normal; their keys."""
    keys = put_pictures(store, category, textured(count, seed=seed), day, f"new{seed}")
    put_labels(store, category, f"new{seed}", keys)
    return keys


def encoded(picture: NDArray[Any]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()
