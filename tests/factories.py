"""Small plants for tests: images, models that are quick to make, and what a night left behind."""

import io
import json
from collections.abc import Iterable
from dataclasses import asdict, fields, replace
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from proofs.model_cards import made_up_card, publish_made_up
from rd_core.calibration.threshold import calibrate
from rd_core.detectors import checkpoint
from rd_core.detectors.reverse_distillation.detector import ReverseDistillation
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings, recipe
from rd_core.pictures.crop import Crop
from rd_core.pictures.ignored_regions import Ignore
from rd_core.pictures.image_view import ImageView
from storage.filesystem import Store
from storage.layout import image_key
from storage.models import models
from storage.partitions import scores, seals
from storage.partitions.anomaly_maps import read_map
from storage.records import Partition
from tasks.night.pin_champion import PinnedModel
from tasks.training.training_request import TrainingRequest
from tasks.worker.preprocessing import PREPROCESSING_VERSION

DAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 3, 2, 0, tzinfo=UTC)
SIZE = 64
CALIBRATION = [0.5 + i / 20 for i in range(40)]
PIXEL_THRESHOLD = 0.45


TWELVE_STEPS = {
    "steps": 12, "batch_size": 4, "mirrored_below": 0, "pseudo_anomalies": 1, "pseudo_anomalies_in_all": 1,
}  # fmt: skip
"""settings of Reverse Distillation"""


def quick_request(**changes: Any) -> TrainingRequest:
    """To train two steps; `changes` are fields of the request, or settings of Reverse Distillation."""
    own = [field.name for field in fields(TrainingRequest)]
    settings = {name: value for name, value in changes.items() if name not in own}
    chosen = recipe(**{"image_height": SIZE, "image_width": SIZE, "steps": 2, "mirrored_below": 0, **settings})
    request = TrainingRequest(
        category="cloth",
        settings=chosen,
        view=ImageView(chosen.image_height, chosen.image_width),
        teacher_weights=None,
        alpha=0.2,
        part_pattern=r"(?P<part>part\d+)_",
        white_level=65535,
        max_pixels=1_000_000,
        calibration="split",
    )
    return replace(request, **{name: value for name, value in changes.items() if name in own})


def png(seed: int, size: tuple[int, int] = (SIZE, SIZE)) -> bytes:
    """A picture of its own for every seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG")
    return out.getvalue()


def put_images(store: Store, category: str, names: Iterable[str], day: date = DAY) -> list[str]:
    """A picture for each name: the keys."""
    keys = []
    for seed, name in enumerate(names):
        keys.append(image_key(category, day, name))
        store.write(keys[-1], png(seed))
    return keys


@cache
def quick_weights() -> bytes:
    """A model with the real teacher and an untrained student, always the same: it scores, if not well."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        settings = ReverseDistillationSettings(image_height=SIZE, image_width=SIZE, map_stride=1)
        model = ReverseDistillation.build(settings)
    return checkpoint.to_bytes(model)


def put_model(
    store: Store,
    category: str,
    version: str = "v1",
    *,
    champion: bool = True,
    preprocessing: str = PREPROCESSING_VERSION,
    crop: Crop | None = None,
    ignore: Ignore | None = None,
) -> str:
    """Publish the quick model; the version."""
    weights = quick_weights()
    view = ImageView(SIZE, SIZE, crop, ignore)
    publish_made_up(
        store,
        category,
        version,
        weights,
        side=SIZE,
        preprocessing={"version": preprocessing, "view": view.to_dict()},
        threshold=asdict(calibrate(np.array(CALIBRATION), 0.05)),
        pixel_threshold={"value": PIXEL_THRESHOLD},
        calibration={"scores": tuple(CALIBRATION)},
    )
    if champion:
        models.promote(store, category, version, by="test", now=NOW)
    return version


def pinned(category: str, version: str = "v1", library: str = "torch") -> PinnedModel:
    """What `pin_champion` finds of `put_model`'s version."""
    threshold, maps = calibrate(np.array(CALIBRATION), 0.05).value, made_up_card(side=SIZE).maps
    return PinnedModel(
        category, version, PREPROCESSING_VERSION, SIZE * SIZE, maps, threshold, threshold, 0.05, False, library
    )


def sealed_rows(store: Store, category: str, day: date = DAY, version: str = "v1") -> list[dict]:
    """Every row of the sealed parts, in the order of the seal."""
    seal = seals.read_seal(store, Partition(category, day, version))
    assert seal is not None, f"{category} of {day} is not sealed"
    return scores.read_scores(store, [part.key for plan in seal.plans for part in plan.parts]).to_pylist()


def assert_night_is_whole(store: Store, category: str, keys: Iterable[str], day: date = DAY) -> None:
    """One row for every key, none twice; a map for every score and none else, and the score its maximum."""
    rows = sealed_rows(store, category, day)
    assert sorted(row["image_key"] for row in rows) == sorted(keys)
    for row in rows:
        if row["status"] != "ok":
            assert row["error"]
            assert row["map_index"] is None
            continue
        anomaly_map = read_map(store, row["map_store"], row["map_index"])
        assert np.float16(row["score"]) == np.nanmax(anomaly_map)


def everything_below(root: Path, *folders: str) -> dict[str, bytes]:
    """Contents of all files below `folders` of a local store, by path."""
    found = (path for folder in folders for path in (root / folder).rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def write_settings(store: Store, **defaults: object) -> None:
    """A categories.toml with these defaults; a dict is the table of a method's own."""
    lines = ["[defaults]"]
    for name, value in sorted(defaults.items(), key=lambda item: isinstance(item[1], dict)):
        own = value if isinstance(value, dict) else {}
        lines += [f"[defaults.{name}]" if own else f"{name} = {json.dumps(value)}"]
        lines += [f"{field} = {json.dumps(of_method)}" for field, of_method in own.items()]
    store.write("categories.toml", "\n".join(lines).encode())
